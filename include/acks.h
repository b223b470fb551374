#ifndef ACKS_H
#define ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which lines of one connection are settled: a watermark below which all are, and a bit for each line above.
 * Lines are numbered from 1. */
struct acks {
        uint64_t settled; /* the watermark: lines 1..settled are settled */
        uint64_t begun;   /* the highest line handed to acks_begin */
        uint64_t *bits;   /* ring of cap_lines bits: line n at n % cap_lines, set when settled */
        size_t cap_lines; /* a power of two, or 0 */
};

void acks_deinit(struct acks *a);

/* The next line exists and is not settled; returns its number. */
uint64_t acks_begin(struct acks *a);

/* Line @line (begun, not settled) is settled. True where the watermark moved. */
bool acks_settle(struct acks *a, uint64_t line);

static inline uint64_t acks_in_flight(const struct acks *a)
{
        return a->begun - a->settled;
}

#endif
