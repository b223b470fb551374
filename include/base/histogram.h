#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* A histogram of durations from 0.1 ms to 100 s with ten buckets per decade, so quantiles are accurate to 25
 * %. Zeroed at first. Histograms can be added and subtracted. */

enum {
        HISTOGRAM_PER_DECADE = 10,
        HISTOGRAM_DECADES = 6,
        HISTOGRAM_BOUNDS = HISTOGRAM_DECADES * HISTOGRAM_PER_DECADE + 1,
};

struct histogram {
        uint64_t buckets[HISTOGRAM_BOUNDS + 1]; /* the last one counts durations above the last bound */
        uint64_t count;                         /* of all buckets */
        uint64_t sum_us;
};

/* Upper bound of bucket @i (below HISTOGRAM_BOUNDS), inclusive, in microseconds. */
uint64_t histogram_bound_us(size_t i);

/* Counts @times durations of @us microseconds each. */
void histogram_add(struct histogram *h, uint64_t us, uint64_t times);

void histogram_merge(struct histogram *h, const struct histogram *other);

/* Returns what @h counted since @before, an earlier copy of it. */
struct histogram histogram_since(const struct histogram *h, const struct histogram *before);

/* Returns the @q quantile (0..1) in seconds, interpolated within its bucket and never above the last bound;
 * negative if the histogram is empty. */
double histogram_quantile(const struct histogram *h, double q);

#endif
