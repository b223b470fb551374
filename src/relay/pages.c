#include "relay/pages.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

#define PREFIX "boris_ingestd_relay_"

static void __attribute__((format(printf, 2, 3))) put(struct buf *out, const char *fmt, ...)
{
        enum { ROOM = 1024 };
        va_list args;
        int len;

        va_start(args, fmt);
        len = vsnprintf(buf_reserve(out, ROOM), ROOM, fmt, args);
        va_end(args);
        out->len += len < ROOM ? (size_t)len : ROOM - 1;
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
        put(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

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

struct metric {
        const char *name;
        const char *type;
        const char *help;
        double (*value)(const struct partition_facts *p);
        bool while_held; /* only the relay that feeds the partition knows */
};

static const struct metric metrics[] = {
        {"lease", "gauge", "1 while this relay feeds the partition.", value_held, false},
        {"position", "gauge", "Stream sequence up to which the partition is settled.", value_position, true},
        {"lag_messages", "gauge", "Messages in the stream that are not settled.", value_lag_messages, true},
        {"lag_bytes", "gauge", "Bytes of messages that are not settled, by their average size.",
         value_lag_bytes, true},
        {"lag_seconds", "gauge", "Age of the oldest fetched message that is not settled.", lag_seconds, true},
        {"held_bytes", "gauge", "Bytes of messages fetched and not settled.", value_held_bytes, true},
        {"messages_total", "counter", "Messages settled.", value_messages, false},
        {"redelivered_messages_total", "counter", "Messages fed once more.", value_redelivered, false},
        {"rejects_total", "counter", "Rejects published.", value_rejects, false},
        {"replies_total", "counter", "Replies to producers that set Boris-Reply.", value_replies, false},
        {"takeovers_total", "counter", "Leases taken over from a relay that did not end in order.",
         value_takeovers, false},
        {"rewinds_total", "counter", "Times that the stream held another message at the position.",
         value_rewinds, false},
};

static void put_metric(const struct relay_facts *facts, const struct metric *m, struct buf *out)
{
        family(out, m->name, m->type, m->help);
        for (size_t i = 0; i < facts->partitions_len; i++) {
                const struct partition_facts *p = &facts->partitions[i];

                if (!m->while_held || p->state == PARTITION_FEEDING)
                        put(out, PREFIX "%s{partition=\"%u\"} %.17g\n", m->name, p->partition, m->value(p));
        }
}

static void put_lines(const struct relay_facts *facts, struct buf *out)
{
        family(out, "lines_total", "counter", "Lines settled, by outcome.");
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
                        put(out, PREFIX "lines_total{partition=\"%u\",outcome=\"%s\"} %" PRIu64 "\n",
                            p->partition, rows[j].outcome, rows[j].lines);
        }
}

void pages_metrics(const struct relay_facts *facts, struct buf *out)
{
        family(out, "build_info", "gauge", "The version that runs.");
        put(out, PREFIX "build_info{version=\"" INGESTD_VERSION "\"} 1\n");
        family(out, "nats_connected", "gauge", "1 while connected to a NATS server.");
        put(out, PREFIX "nats_connected %d\n", facts->nats_connected);
        for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
                put_metric(facts, &metrics[i], out);
        put_lines(facts, out);
}

bool pages_ready(const struct relay_facts *facts, struct buf *out)
{
        bool ready = facts->nats_connected && !facts->stopping;

        if (!facts->nats_connected)
                put(out, "not connected to NATS\n");
        if (facts->stopping)
                put(out, "stopping\n");
        for (size_t i = 0; i < facts->partitions_len; i++) {
                const struct partition_facts *p = &facts->partitions[i];

                if ((p->state == PARTITION_FEEDING || p->state == PARTITION_STANDBY) && !p->trouble[0])
                        continue;
                ready = false;
                put(out, "partition %u: %s%s%s\n", p->partition, partition_state_name(p->state),
                    p->trouble[0] ? ": " : "", p->trouble);
        }
        if (ready)
                put(out, "ready\n");
        return ready;
}
