#ifndef ACKS_H
#define ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What became of a line. */
enum line_outcome {
        LINE_STORED,
        LINE_DUPLICATE, /* it was stored already */
        LINE_REJECTED,
        LINE_EMPTY,
        LINE_SPOOLED, /* it lies in the spool: one of the first three will become of it */
        LINE_OUTCOMES
};

/* Which lines of one connection are settled: a watermark below which all are, and the outcomes of those
 * above. Lines are numbered from 1. */
struct acks {
        uint64_t settled;               /* the watermark: lines 1..settled are settled */
        uint64_t counts[LINE_OUTCOMES]; /* of the lines 1..settled: their sum is settled */
        uint64_t begun;                 /* the highest line handed to acks_begin */
        uint8_t *outcomes; /* ring: line n at n % cap, 0 while not settled, else its outcome + 1 */
        size_t cap;        /* a power of two, or 0 */
};

void acks_deinit(struct acks *a);

/* The next line exists and is not settled; returns its number. */
uint64_t acks_begin(struct acks *a);

/* Line @line (begun, not settled) is settled. True where the watermark moved. */
bool acks_settle(struct acks *a, uint64_t line, enum line_outcome outcome);

static inline uint64_t acks_in_flight(const struct acks *a)
{
        return a->begun - a->settled;
}

#endif
