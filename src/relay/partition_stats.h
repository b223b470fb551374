#ifndef PARTITION_STATS_H
#define PARTITION_STATS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client.h"

/* The stats of a partition's thread, readable from other threads. */

enum { PARTITION_TROUBLE_BYTES = 640 };

#define PARTITION_STATE_MAP(X)                                                                               \
        X(STARTING, "starting") /* the lease's state is not known yet */                                     \
        X(STANDBY, "standby")   /* another relay feeds it */                                                 \
        X(WAITING, "waiting")   /* until the lease of a relay that did not stop in order has expired */      \
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
        char trouble[PARTITION_TROUBLE_BYTES]; /* why it does not feed; "" for none */
        uint64_t position;
        struct client_counts lines; /* settled, in all feeds */
        uint64_t messages;          /* settled */
        uint64_t newest;            /* sequence of the newest message ever fed */
        uint64_t redelivered;       /* messages fed again */
        uint64_t rejects;           /* published, counted again if the message was fed again */
        uint64_t replies;
        uint64_t takeovers; /* leases taken from relays that did not stop in order */
        uint64_t rewinds;
        uint64_t skips; /* how often a consumer left out a message */
        /* valid while FEEDING */
        size_t held_bytes; /* fetched and unsettled */
        uint64_t lag_messages;
        double lag_bytes; /* estimated from the average message size */
        /* when the stream stored the oldest unsettled message, as far as known; 0: none */
        int64_t oldest_us;
};

struct partition_stats {
        pthread_mutex_t mutex;
        struct partition_facts facts;
};

const char *partition_state_name(enum partition_state state);

/* Sets state and trouble, NULL for none; logs either if it changed. */
void partition_stats_set(struct partition_stats *s, enum partition_state state, const char *trouble);

struct partition_facts partition_stats_read(struct partition_stats *s);

#endif
