#ifndef PACE_H
#define PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How large a batch becomes and how long it gathers, learned from what the last commits took. Each lane of records has
 * one.
 *
 * The target is what one writer commits in PACE_COMMIT_MS. A batch at its target is full: nobody adds to it but clients
 * that send little, which may add a quarter more.
 *
 * The gap is a part of what a small batch takes: for so long a batch gathers while no writer is busy. */

enum {
        PACE_COMMIT_MS = 50,
        PACE_ROWS_MIN = 100, /* a target is no smaller, but for the limits */
        PACE_BYTES_MIN = 64 * 1024,
};

struct pace_limits {
        size_t rows;
        size_t bytes;
        unsigned linger_ms;
};

struct pace {
        struct pace_limits limits;
        size_t rows;       /* the target: at one of both a batch is full */
        size_t bytes;      /* of the rows' lines */
        uint64_t small_us; /* what small batches take, smoothed; 0: none was written yet */
};

void pace_init(struct pace *p, const struct pace_limits *limits);
void pace_set_limits(struct pace *p, const struct pace_limits *limits);

/* A batch of so many rows was committed, @us after a writer took it. */
void pace_learn(struct pace *p, size_t rows, size_t bytes, uint64_t us);

static inline bool pace_full(const struct pace *p, size_t rows, size_t bytes)
{
        return rows >= p->rows || bytes >= p->bytes;
}

/* Nothing more fits, from no client. */
bool pace_closed(const struct pace *p, size_t rows, size_t bytes);

/* So many rows are worth another writer, while one is busy. */
static inline size_t pace_worth(const struct pace *p)
{
        return p->rows / 4 + 1;
}

/* How long a batch gathers at most, from its first row on, while a writer is idle. */
uint64_t pace_gap_us(const struct pace *p);

/* The same in whole ms, rounded down, 0 being until the loop has read what has come; with @busy, another writer is
 * about to be free. */
unsigned pace_wait_ms(const struct pace *p, bool busy);

#endif
