#ifndef LEASE_H
#define LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "model/db.h"

/* One relay at a time feeds a partition: the one whose database session holds the partition's advisory lock. The same
 * session moves the position, by compare-and-set, so a relay without the lock cannot move it.
 *
 * The lock alone is not enough: a session that breaks frees it at once, while its relay may not know yet, or may be stopped.
 * So a relay feeds only behind a fence (fence.h) that comes down lease_ms after the session last answered; and a relay that
 * gets the lock of one that did not end in order waits lease_ms before it feeds. The server ends the session of a relay
 * that says nothing for lease_ms, so a stopped one loses the lock. No clock of two machines is compared. */

enum lease_state {
        LEASE_CLOSED,  /* no session */
        LEASE_WANTED,  /* another relay has the lock */
        LEASE_WAITING, /* the lock is ours; the relay that had it before may still be feeding */
        LEASE_HELD,
};

/* How far the partition is fed. */
struct position {
        uint64_t sequence; /* of the stream; 0: nothing yet */
        int64_t stored_ns; /* when the stream stored that message */
};

struct lease {
        const char *url;
        const char *stream;
        unsigned partition;
        int64_t lease_ms;
        struct uuid holder; /* this process */
        enum lease_state state;
        struct db db;
        int64_t confirmed_ms; /* when the session last proved alive: the start of what it answered */
        int64_t held_from_ms; /* LEASE_WAITING: the end of it */
        struct position position;
};

void lease_init(struct lease *l, const char *url, const char *stream, unsigned partition, unsigned lease_ms,
                const struct uuid *holder);

/* One step towards LEASE_HELD, or what keeps it: to be called every lease_ms / 4 or so. Raises the calling thread's fence while
 * LEASE_HELD. False where the database failed: l->db.error says why, the lease is LEASE_CLOSED and the fence is down. */
bool lease_step(struct lease *l);

/* Moves the position, which is durable then. False where that failed: as above. */
bool lease_move(struct lease *l, const struct position *to);

/* The end of the session. With @orderly nothing that this relay fed is still on its way: the next relay need not wait. */
void lease_close(struct lease *l, bool orderly);

#endif
