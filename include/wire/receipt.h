#ifndef RECEIPT_H
#define RECEIPT_H

#include <stdint.h>

/* The moment at which a line is received, which is the collectedAt of a record without one, and a number that
 * tells this receipt from all others, which goes into the id of such a record (spending_record_derive_id).
 *
 * Moments follow the wall clock. Within a daemon no two lines share one, as long as the clock does not jump:
 * a report takes records of one moment for parts of one breakdown. A clock that jumps back further than
 * RECEIPT_AHEAD_MAX_US is followed, so that a clock that was wrong for a moment leaves nothing behind.
 *
 * Numbers count from a random start in each worker, so they differ between workers, daemons and restarts. The
 * spool keeps both with a line. */

enum {
        RECEIPT_AHEAD_MAX_US =
                1000000,        /* moments may run ahead of the clock so far, not to repeat themselves */
        RECEIPT_BLOCK_MAX = 64, /* moments that a worker takes from the others at once */
};

/* Shared by the workers of a daemon. */
struct receipt_clock {
        int64_t (*now_us)(void);  /* microseconds since the Unix epoch */
        _Atomic int64_t taken_us; /* all moments up to this one are taken; 0 at first */
};

/* A worker's. */
struct receipts {
        struct receipt_clock *clock;
        uint64_t turn;     /* loop time in ms for which the clock was last read */
        int64_t next_us;   /* the moments from here ... */
        int64_t end_us;    /* ... to before here are this worker's */
        int64_t block_len; /* of the next block */
        uint64_t number;   /* of the last line */
};

struct receipt {
        int64_t us;      /* microseconds since the Unix epoch */
        uint64_t number; /* 0: none, for a line that an earlier version spooled */
};

/* @clock is borrowed. */
void receipts_init(struct receipts *r, struct receipt_clock *clock);

/* The next line's, at the loop time @turn in ms. Numbers go up by one; compare them by their difference, since
 * they may pass 2^64. */
struct receipt receipts_next(struct receipts *r, uint64_t turn);

#endif
