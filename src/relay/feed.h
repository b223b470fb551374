#ifndef FEED_H
#define FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "relay/lease.h"
#include "relay/nats.h"
#include "relay/partition_stats.h"

/* Feeds the messages of one partition to the daemon, over one connection, as long as the lease holds. */

struct feed_settings {
        const struct config *config;
        struct nats *nats;
        unsigned partition;
        int stop_fd;                /* once it can be read, nothing more is fetched or sent */
        const atomic_bool *abandon; /* true: what is on its way is not waited for, either */
};

enum { FEED_ERROR_BYTES = 640 };

enum feed_end {
        FEED_STOPPED, /* on demand, and everything that was sent is settled */
        FEED_FAILED,  /* what is not settled comes again; ret_error says why */
};

/* @lease is LEASE_HELD. Returns when the feed is over; the position is then that of the last message that is known to be
 * settled. */
enum feed_end feed_run(const struct feed_settings *settings, struct lease *lease,
                       struct partition_stats *stats, char ret_error[FEED_ERROR_BYTES]);

#endif
