#ifndef PARTITION_H
#define PARTITION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/uuid.h"
#include "relay/nats.h"
#include "relay/partition_stats.h"

/* One partition, in a thread of its own: gets the lease, feeds, and begins anew after whatever ends that. */
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

/* False with errno. */
bool partition_start(struct partition *p, const struct config *config, struct nats *nats, unsigned number,
                     const struct uuid *holder);

/* Settle what was sent, and end; with @abandon without waiting for that. */
void partition_stop(struct partition *p, bool abandon);

/* Waits for the thread. */
void partition_join(struct partition *p);

#endif
