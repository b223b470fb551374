#ifndef HISTORY_H
#define HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "monitor/stats.h"

/* What the counters said in each of the last five minutes' seconds. Zeroed, then history_begin. */

enum { HISTORY_STEPS = 300 };

/* Of sessions' lines and those out of the spool together: what flows. Since the start. */
struct sample {
        uint64_t at_us; /* of clock_monotonic_us */
        uint64_t received;
        uint64_t stored;
        uint64_t duplicate;
        uint64_t rejected;
        uint64_t spooled;
        uint64_t bytes;
        struct histogram ack_latency;
        struct histogram commit;
        uint64_t ack_max_us; /* in this step */
};

struct history {
        struct sample ring[HISTORY_STEPS + 1];
        uint64_t added;
        uint64_t ack_max_us; /* since the last sample */
};

/* All counters are 0 at @now_us. */
void history_begin(struct history *h, uint64_t now_us);

/* Notes what a report tells besides its counters: of each one, before history_add. */
void history_note(struct history *h, const struct stats *r);

/* Ends a step with @r. */
void history_add(struct history *h, const struct stats *r);

struct sample history_sample(const struct stats *r);

/* The number of samples that are kept, at least 1. */
size_t history_len(const struct history *h);

/* The sample of @back steps ago, 0 for the last one; of the first one that is kept where there are fewer. */
const struct sample *history_back(const struct history *h, size_t back);

#endif
