#ifndef ACKS_H
#define ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The outcome of a line. */
enum line_outcome {
        LINE_STORED,
        LINE_DUPLICATE, /* already stored */
        LINE_REJECTED,
        LINE_EMPTY,
        LINE_SPOOLED, /* in the spool: replay will turn it into one of the first three */
        LINE_OUTCOMES
};

/* Tracks which lines of one session are settled: a watermark up to which all are, and the outcomes of
 * settled lines above it. Lines are numbered from 1. */
struct acks {
        uint64_t settled;               /* the watermark: lines 1..settled are settled */
        uint64_t counts[LINE_OUTCOMES]; /* outcomes of the lines 1..settled */
        uint64_t begun;                 /* the highest line number that acks_begin returned */
        uint8_t *outcomes; /* ring: line n at n % cap; 0 while not settled, else its outcome + 1 */
        size_t cap;        /* a power of two, or 0 */
};

void acks_deinit(struct acks *a);

/* Registers the next line as not settled; returns its number. */
uint64_t acks_begin(struct acks *a);

/* Settles @line, which acks_begin returned and which is not settled. Returns true if the watermark moved. */
bool acks_settle(struct acks *a, uint64_t line, enum line_outcome outcome);

static inline uint64_t acks_in_flight(const struct acks *a)
{
        return a->begun - a->settled;
}

#endif
