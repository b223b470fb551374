#include "base/histogram.h"

/* The bounds within a decade; the last one is the first of the next decade. */
static const uint64_t steps[HISTOGRAM_PER_DECADE] = {100, 125, 150, 200, 250, 300, 400, 500, 600, 800};

uint64_t histogram_bound_us(size_t i)
{
        uint64_t bound = steps[i % HISTOGRAM_PER_DECADE];

        for (size_t decade = i / HISTOGRAM_PER_DECADE; decade > 0; decade--)
                bound *= 10;
        return bound;
}

static size_t bucket_of(uint64_t us)
{
        size_t decade = 0;
        uint64_t scale = 1;
        size_t step = 0;

        if (us <= steps[0])
                return 0;
        while (decade < HISTOGRAM_DECADES && us > steps[0] * scale * 10) {
                decade++;
                scale *= 10;
        }
        if (decade == HISTOGRAM_DECADES)
                return HISTOGRAM_BOUNDS;
        while (step < HISTOGRAM_PER_DECADE && us > steps[step] * scale)
                step++;
        return decade * HISTOGRAM_PER_DECADE + step;
}

void histogram_add(struct histogram *h, uint64_t us, uint64_t times)
{
        h->buckets[bucket_of(us)] += times;
        h->count += times;
        h->sum_us += us * times;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
                h->buckets[i] += other->buckets[i];
        h->count += other->count;
        h->sum_us += other->sum_us;
}

struct histogram histogram_since(const struct histogram *h, const struct histogram *before)
{
        struct histogram since = *h;

        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
                since.buckets[i] -= before->buckets[i];
        since.count -= before->count;
        since.sum_us -= before->sum_us;
        return since;
}

double histogram_quantile(const struct histogram *h, double q)
{
        double rank = q * (double)h->count;
        double below = 0;

        if (h->count == 0)
                return -1;
        for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
                double here = (double)h->buckets[i];

                if (here > 0 && below + here >= rank) {
                        double from = i > 0 ? (double)histogram_bound_us(i - 1) : 0;
                        double to = (double)histogram_bound_us(i);

                        return (from + (to - from) * (rank - below) / here) / 1e6;
                }
                below += here;
        }
        return (double)histogram_bound_us(HISTOGRAM_BOUNDS - 1) / 1e6;
}
