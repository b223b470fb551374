#ifndef PAGES_H
#define PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "relay/partition_stats.h"

/* What the relay tells over HTTP. */

struct relay_facts {
        bool nats_connected;
        bool stopping;
        const struct partition_facts *partitions;
        size_t partitions_len;
};

/* Prometheus's text format. */
void pages_metrics(const struct relay_facts *facts, struct buf *out);

/* Whether every partition is fed, by this relay or by another one; else a line for each that is not. */
bool pages_ready(const struct relay_facts *facts, struct buf *out);

#endif
