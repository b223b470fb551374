#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* How long things took, from 0.1 ms to 100 s: ten buckets a decade, so that a quantile is known to within a
 * quarter of itself. Zeroed at first. Histograms can be added and subtracted. */

enum {
        HISTOGRAM_PER_DECADE = 10,
        HISTOGRAM_DECADES = 6,
        HISTOGRAM_BOUNDS = HISTOGRAM_DECADES * HISTOGRAM_PER_DECADE + 1,
};

struct histogram {
        uint64_t buckets[HISTOGRAM_BOUNDS + 1]; /* the last one: above the last bound */
        uint64_t count;                         /* their sum */
        uint64_t sum_us;
};

/* Upper bound of bucket @i, inclusive, in microseconds; @i < HISTOGRAM_BOUNDS. */
uint64_t histogram_bound_us(size_t i);

/* @times things took @us microseconds each. */
void histogram_add(struct histogram *h, uint64_t us, uint64_t times);

void histogram_merge(struct histogram *h, const struct histogram *other);

/* What came to @h since it was @before. */
struct histogram histogram_since(const struct histogram *h, const struct histogram *before);

/* The time in seconds that a share of @q (0..1) did not exceed, interpolated in its bucket, never above the
 * last bound; below 0 where there is none. */
double histogram_quantile(const struct histogram *h, double q);

#endif
