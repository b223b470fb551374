/* The stats of the stages of spending. */
#include "spending/batcher.h"
#include "spending/resolver.h"
#include "spending/writer.h"

void writer_stats(const struct writer *w, struct stats *r)
{
        r->batches += w->batches;
        r->batch_rows += w->rows;
        r->batch_failures += w->failures;
        histogram_merge(&r->commit, &w->commit);
}

void batcher_stats(const struct batcher *b, struct stats *r)
{
        r->batches_waiting += b->sealed_len;
        r->batch_target = b->pace.rows;
        r->batch_gap_us = pace_gap_us(&b->pace);
        r->bad_rows += b->doubtful_rows;
}

void resolver_stats(const struct resolver *r, struct stats *stats)
{
        stats->cache_hits += r->hits;
        stats->cache_misses += r->cache_misses;
        stats->cache_objects += r->cache.len;
        stats->cache_limit += r->cache.max_len;
        stats->lookup_rows += r->parked;
}
