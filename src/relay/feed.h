#ifndef FEED_H
#define FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "relay/lease.h"
#include "relay/nats.h"
#include "relay/partition_stats.h"

/* Feeds the messages of one partition to the daemon, on one connection, as long as the lease is held. */

struct feed_settings {
        const struct config *config;
        struct nats *nats;
        unsigned partition;
        int stop_fd;                /* once readable, nothing more is fetched or sent */
        const atomic_bool *abandon; /* if true, unacked lines are not waited for either */
};

enum { FEED_ERROR_BYTES = 640 };

enum feed_end {
        FEED_STOPPED, /* stopped on request, and every line sent is settled */
        FEED_FAILED,  /* unsettled messages will be delivered again; see ret_error */
};

/* @lease must be LEASE_HELD. Returns when the feed ends; the position is then the last message known to be
 * settled. */
enum feed_end feed_run(const struct feed_settings *settings, struct lease *lease,
                       struct partition_stats *stats, char ret_error[FEED_ERROR_BYTES]);

#endif
