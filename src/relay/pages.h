#ifndef PAGES_H
#define PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "relay/partition_stats.h"

/* The relay's HTTP pages. */

struct relay_facts {
        bool nats_connected;
        bool stopping;
        const struct partition_facts *partitions;
        size_t partitions_len;
};

/* Prometheus's text format. */
void pages_metrics(const struct relay_facts *facts, struct buf *out);

/* True if every partition is fed, by this relay or another; otherwise appends one line per partition that is
 * not. */
bool pages_ready(const struct relay_facts *facts, struct buf *out);

#endif
