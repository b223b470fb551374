#ifndef PARTITION_H
#define PARTITION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/uuid.h"
#include "relay/nats.h"
#include "relay/partition_stats.h"

/* One partition, in a thread of its own: gets the lease, feeds, and starts again after any failure. */
struct partition {
        const struct config *config;
        struct nats *nats;
        unsigned number;
        struct uuid holder;
        struct partition_stats stats;
        pthread_t thread;
        int stop_fd;
        atomic_bool abandon;
        atomic_bool ended;
};

/* Returns false with errno. */
bool partition_start(struct partition *p, const struct config *config, struct nats *nats, unsigned number,
                     const struct uuid *holder);

/* Settles what was sent, then ends; with @abandon, does not wait for that. */
void partition_stop(struct partition *p, bool abandon);

/* Waits for the thread's end. */
void partition_join(struct partition *p);

#endif
