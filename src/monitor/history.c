#include "monitor/history.h"

void history_begin(struct history *h, uint64_t now_us)
{
        h->ring[0] = (struct sample){.at_us = now_us};
        h->added = 1;
}

struct sample history_sample(const struct stats *r)
{
        return (struct sample){
                .at_us = r->taken_us,
                .received = r->lines,
                .stored = r->counts[LINE_STORED] + r->drained_counts[LINE_STORED],
                .duplicate = r->counts[LINE_DUPLICATE] + r->drained_counts[LINE_DUPLICATE],
                .rejected = r->counts[LINE_REJECTED] + r->drained_counts[LINE_REJECTED],
                .spooled = r->counts[LINE_SPOOLED],
                .bytes = r->bytes,
                .ack_latency = r->ack_latency,
                .commit = r->commit,
        };
}

void history_note(struct history *h, const struct stats *r)
{
        if (h->ack_max_us < r->ack_max_us)
                h->ack_max_us = r->ack_max_us;
}

void history_add(struct history *h, const struct stats *r)
{
        struct sample *s = &h->ring[h->added % (HISTORY_STEPS + 1)];

        *s = history_sample(r);
        s->ack_max_us = h->ack_max_us;
        h->ack_max_us = 0;
        h->added++;
}

size_t history_len(const struct history *h)
{
        return h->added <= HISTORY_STEPS ? (size_t)h->added : HISTORY_STEPS + 1;
}

const struct sample *history_back(const struct history *h, size_t back)
{
        size_t len = history_len(h);

        if (back >= len)
                back = len - 1;
        return &h->ring[(h->added - 1 - back) % (HISTORY_STEPS + 1)];
}
