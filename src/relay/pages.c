#include "relay/pages.h"

#include <inttypes.h>

#include "base/clock.h"
#include "monitor/expose.h"

#define PREFIX "boris_ingestd_relay_"

/* --- one number for each partition --- */

static double lag_seconds(const struct partition_facts *p)
{
        int64_t age_us = clock_now_us() - p->oldest_us;

        return p->oldest_us > 0 && age_us > 0 ? (double)age_us / 1e6 : 0;
}

static double value_held(const struct partition_facts *p)
{
        return p->state == PARTITION_FEEDING;
}

#define VALUE(name, expression)                                                                              \
        static double value_##name(const struct partition_facts *p)                                          \
        {                                                                                                    \
                return (double)(expression);                                                                 \
        }

VALUE(position, p->position)
VALUE(lag_messages, p->lag_messages)
VALUE(lag_bytes, p->lag_bytes)
VALUE(held_bytes, p->held_bytes)
VALUE(messages, p->messages)
VALUE(redelivered, p->redelivered)
VALUE(rejects, p->rejects)
VALUE(replies, p->replies)
VALUE(takeovers, p->takeovers)
VALUE(rewinds, p->rewinds)
VALUE(skips, p->skips)

struct metric {
        const char *name;
        const char *type;
        const char *help;
        double (*value)(const struct partition_facts *p);
        bool while_held; /* only the relay that feeds the partition knows it */
};

static const struct metric metrics[] = {
        {PREFIX "lease", "gauge", "1 while this relay feeds the partition.", value_held, false},
        {PREFIX "position", "gauge", "Stream sequence up to which the partition is settled.", value_position,
         true},
        {PREFIX "lag_messages", "gauge", "Messages in the stream that are not settled.", value_lag_messages,
         true},
        {PREFIX "lag_bytes", "gauge",
         "Bytes of messages in the stream that are not settled, by their average size.", value_lag_bytes,
         true},
        {PREFIX "lag_seconds", "gauge", "Age of the oldest fetched message that is not settled.", lag_seconds,
         true},
        {PREFIX "held_bytes", "gauge", "Bytes of messages fetched and not settled.", value_held_bytes, true},
        {PREFIX "messages_total", "counter", "Messages settled.", value_messages, false},
        {PREFIX "redelivered_messages_total", "counter", "Messages fed once more.", value_redelivered, false},
        {PREFIX "rejects_total", "counter", "Rejects published.", value_rejects, false},
        {PREFIX "replies_total", "counter", "Replies to producers that set Boris-Reply.", value_replies,
         false},
        {PREFIX "takeovers_total", "counter", "Leases taken over from a relay that did not stop cleanly.",
         value_takeovers, false},
        {PREFIX "rewinds_total", "counter", "Times that the stream held another message at the position.",
         value_rewinds, false},
        {PREFIX "consumer_skips_total", "counter", "Times that a consumer of NATS left out a message.",
         value_skips, false},
};

static void put_metric(const struct relay_facts *facts, const struct metric *m, struct buf *out)
{
        expose_family(out, m->name, m->type, m->help);
        for (size_t i = 0; i < facts->partitions_len; i++) {
                const struct partition_facts *p = &facts->partitions[i];

                if (!m->while_held || p->state == PARTITION_FEEDING)
                        expose(out, "%s{partition=\"%u\"} %.17g\n", m->name, p->partition, m->value(p));
        }
}

static void put_lines(const struct relay_facts *facts, struct buf *out)
{
        expose_family(out, PREFIX "lines_total", "counter", "Lines settled, by outcome.");
        for (size_t i = 0; i < facts->partitions_len; i++) {
                const struct partition_facts *p = &facts->partitions[i];
                const struct client_counts *c = &p->lines;
                const struct {
                        const char *outcome;
                        uint64_t lines;
                } rows[] = {
                        {"stored", c->stored},
                        {"duplicate", c->duplicate},
                        {"rejected", c->rejected},
                        {"spooled", c->spooled},
                };

                for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++)
                        expose(out, PREFIX "lines_total{partition=\"%u\",outcome=\"%s\"} %" PRIu64 "\n",
                               p->partition, rows[j].outcome, rows[j].lines);
        }
}

void pages_metrics(const struct relay_facts *facts, struct buf *out)
{
        expose_family(out, PREFIX "build_info", "gauge", "The version that runs.");
        expose(out, PREFIX "build_info{version=\"" INGESTD_VERSION "\"} 1\n");
        expose_family(out, PREFIX "nats_connected", "gauge", "1 while connected to a NATS server.");
        expose(out, PREFIX "nats_connected %d\n", facts->nats_connected);
        for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
                put_metric(facts, &metrics[i], out);
        put_lines(facts, out);
}

bool pages_ready(const struct relay_facts *facts, struct buf *out)
{
        bool ready = facts->nats_connected && !facts->stopping;

        if (!facts->nats_connected)
                expose(out, "not connected to NATS\n");
        if (facts->stopping)
                expose(out, "stopping\n");
        for (size_t i = 0; i < facts->partitions_len; i++) {
                const struct partition_facts *p = &facts->partitions[i];

                if ((p->state == PARTITION_FEEDING || p->state == PARTITION_STANDBY) && !p->trouble[0])
                        continue;
                ready = false;
                expose(out, "partition %u: %s%s%s\n", p->partition, partition_state_name(p->state),
                       p->trouble[0] ? ": " : "", p->trouble);
        }
        if (ready)
                expose(out, "ready\n");
        return ready;
}
