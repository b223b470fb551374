#ifndef PACE_H
#define PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How large a batch becomes and how long it gathers, learned from what the last commits took. Spending and hierarchy have
 * one each.
 *
 * The target is what one writer commits in PACE_COMMIT_MS. A batch at its target is full.
 *
 * A commit has a fixed cost. A batch whose rows cost less waits for the gap, half of the fixed cost, after the last commit, so
 * that a trickle of records does not keep the server busy with commits. */

enum {
        PACE_COMMIT_MS = 50,
        /* Lower bound of a target, unless a limit is lower: if commits themselves are slow, small batches would store little. */
        PACE_ROWS_MIN = 2000,
        PACE_BYTES_MIN = 1024 * 1024,
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
        uint64_t fixed_us; /* what a commit takes beside its rows, smoothed; 0: none was seen yet */
};

void pace_init(struct pace *p, const struct pace_limits *limits);
void pace_set_limits(struct pace *p, const struct pace_limits *limits);

/* Adapts the target to a commit: a writer took a batch of @rows rows and @bytes bytes, and committed it @us later. */
void pace_learn(struct pace *p, size_t rows, size_t bytes, uint64_t us);

static inline bool pace_full(const struct pace *p, size_t rows, size_t bytes)
{
        return rows >= p->rows || bytes >= p->bytes;
}

/* The number of rows for which a second writer starts while the first is busy. */
static inline size_t pace_worth(const struct pace *p)
{
        return p->rows / 4 + 1;
}

/* True if a quick batch takes no more rows: it holds more than an eighth of the target. */
static inline bool pace_quick_full(const struct pace *p, size_t rows, size_t bytes)
{
        return rows > p->rows / 8 || bytes > p->bytes / 8;
}

/* The gap: from one small commit's end to the beginning of the next at least. */
uint64_t pace_gap_us(const struct pace *p);

/* How long such a batch waits at most, since the last commit, while every writer is idle. */
unsigned pace_wait_ms(const struct pace *p, size_t rows, size_t bytes);

/* The same, since its first row, while another writer is busy, which is expected to be free by then. */
unsigned pace_wait_busy_ms(const struct pace *p);

#endif
