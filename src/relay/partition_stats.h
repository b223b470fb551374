#ifndef PARTITION_STATS_H
#define PARTITION_STATS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client.h"

/* What a partition's thread tells of itself, for whoever asks in another thread. */

enum { PARTITION_TROUBLE_BYTES = 640 };

#define PARTITION_STATE_MAP(X)                                                                               \
        X(STARTING, "starting") /* nothing is known of the lease yet */                                      \
        X(STANDBY, "standby")   /* another relay feeds it */                                                 \
        X(WAITING, "waiting")   /* for the lease of a relay that did not end in order to be over */          \
        X(FEEDING, "feeding")                                                                                \
        X(STOPPED, "stopped")

enum partition_state {
#define X(name, text) PARTITION_##name,
        PARTITION_STATE_MAP(X)
#undef X
                PARTITION_STATES
};

struct partition_facts {
        unsigned partition;
        enum partition_state state;
        char trouble[PARTITION_TROUBLE_BYTES]; /* what keeps it from feeding; "" for nothing */
        uint64_t position;
        struct client_counts lines; /* settled, of all feeds */
        uint64_t messages;          /* settled */
        uint64_t newest;            /* sequence of the newest message that was ever fed */
        uint64_t redelivered;       /* messages fed once more */
        uint64_t rejects;           /* published, and once more where the message was fed once more */
        uint64_t replies;
        uint64_t takeovers; /* leases of relays that did not end in order */
        uint64_t rewinds;
        /* while FEEDING */
        size_t held_bytes; /* fetched and not settled */
        uint64_t lag_messages;
        double lag_bytes; /* an estimate: messages by their average */
        int64_t oldest_us; /* when the stream stored the oldest message that is not settled, as far as known; 0: none */
};

struct partition_stats {
        pthread_mutex_t mutex;
        struct partition_facts facts;
};

const char *partition_state_name(enum partition_state state);

/* Sets state and trouble; logs either where it is new. @trouble NULL for none. */
void partition_stats_set(struct partition_stats *s, enum partition_state state, const char *trouble);

struct partition_facts partition_stats_read(struct partition_stats *s);

#endif
