#ifndef LEASE_H
#define LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "model/db.h"

/* One relay at a time feeds a partition: the one whose database session holds the partition's advisory lock.
 * The same session advances the position, by compare-and-set, so a relay without the lock cannot.
 *
 * The lock alone is not enough: a broken session frees it immediately, while its relay may not know yet, or
 * may be stopped. So a relay feeds only behind a fence (fence.h) that drops lease_ms after the session last
 * answered; and a relay that gets the lock of one that did not stop in order waits lease_ms before it feeds.
 * The server ends the session of a relay that is silent for lease_ms, so a stopped relay loses the lock.
 * Clocks of two machines are never compared. */

enum lease_state {
        LEASE_CLOSED,  /* no session */
        LEASE_WANTED,  /* another relay has the lock */
        LEASE_WAITING, /* we have the lock; the previous relay may still be feeding */
        LEASE_HELD,
};

/* How far the partition has been fed. */
struct position {
        uint64_t sequence; /* sequence in the stream; 0: nothing yet */
        int64_t stored_ns; /* when the stream stored that message, nanoseconds since the Unix epoch */
};

struct lease {
        const char *url;
        const char *stream;
        unsigned partition;
        int64_t lease_ms;
        struct uuid holder; /* identifies this process */
        enum lease_state state;
        struct db db;
        /* when the session last proved alive: the time at which its last answered statement was sent */
        int64_t confirmed_ms;
        int64_t held_from_ms; /* LEASE_WAITING: when waiting ends */
        struct position position;
};

void lease_init(struct lease *l, const char *url, const char *stream, unsigned partition, unsigned lease_ms,
                const struct uuid *holder);

/* One step towards LEASE_HELD, or one that keeps it. Call it about every lease_ms / 4. Raises the calling
 * thread's fence while LEASE_HELD. Returns false if the database failed: l->db.error is the reason, the
 * lease is LEASE_CLOSED and the fence is down. */
bool lease_step(struct lease *l);

/* Advances the position durably. Returns false on failure, as lease_step. */
bool lease_move(struct lease *l, const struct position *to);

/* Ends the session. @orderly: nothing that this relay fed is in flight, so the next relay need not wait. */
void lease_close(struct lease *l, bool orderly);

#endif
