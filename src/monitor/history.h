#ifndef HISTORY_H
#define HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "monitor/stats.h"

/* The counters at each second of the last five minutes. Zero it, then call history_begin. */

enum { HISTORY_STEPS = 300 };

/* Counters since the start, of lines from sessions and from the spool together. */
struct sample {
        uint64_t at_us; /* clock_monotonic_us */
        uint64_t received;
        uint64_t stored;
        uint64_t duplicate;
        uint64_t rejected;
        uint64_t spooled;
        uint64_t bytes;
        struct histogram ack_latency;
        struct histogram commit;
        uint64_t ack_max_us; /* longest ack latency in this step */
};

struct history {
        struct sample ring[HISTORY_STEPS + 1];
        uint64_t added;
        uint64_t ack_max_us; /* longest ack latency since the last sample */
};

/* Starts with all counters 0 at @now_us. */
void history_begin(struct history *h, uint64_t now_us);

/* Notes the maximum in @r. Call it for all stats, before history_add. */
void history_note(struct history *h, const struct stats *r);

/* Ends a step with @r. */
void history_add(struct history *h, const struct stats *r);

struct sample history_sample(const struct stats *r);

/* Number of kept samples, at least 1. */
size_t history_len(const struct history *h);

/* Returns the sample of @back steps ago, 0 being the latest; the oldest one if fewer are kept. */
const struct sample *history_back(const struct history *h, size_t back);

#endif
