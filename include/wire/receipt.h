#ifndef RECEIPT_H
#define RECEIPT_H

#include <stdint.h>

/* The receipt of a line: the moment it was received, which is the collectedAt of a record without one, and a
 * number unique to this receipt, which enters the derived id of such a record (spending_record_derive_id).
 *
 * Moments follow the wall clock. Within a daemon no two lines share a moment unless the clock jumps, since a
 * report treats records of one moment as parts of one breakdown. If the clock jumps back by more than
 * RECEIPT_AHEAD_MAX_US, moments follow it, so a briefly wrong clock has no lasting effect.
 *
 * Numbers start at random in each worker, so they differ between workers, daemons and restarts. The spool
 * keeps both with each line. */

enum {
        RECEIPT_AHEAD_MAX_US = 1000000, /* how far moments may run ahead of the clock to stay unique */
        RECEIPT_BLOCK_MAX = 64,         /* moments that a worker reserves at once, at most */
};

/* Shared by all workers of a daemon. */
struct receipt_clock {
        int64_t (*now_us)(void);  /* microseconds since the Unix epoch */
        _Atomic int64_t taken_us; /* all moments up to this one are reserved; 0 at first */
};

/* The state of one worker. */
struct receipts {
        struct receipt_clock *clock;
        uint64_t turn;     /* loop time in ms at which the clock was last read */
        int64_t next_us;   /* this worker's reserved moments: from here ... */
        int64_t end_us;    /* ... to before here */
        int64_t block_len; /* size of the next block */
        uint64_t number;   /* number of the latest receipt */
};

struct receipt {
        int64_t us;      /* microseconds since the Unix epoch */
        uint64_t number; /* 0: none, for a line spooled by an earlier version */
};

/* @clock must outlive @r. */
void receipts_init(struct receipts *r, struct receipt_clock *clock);

/* Returns the receipt of the next line, at loop time @turn in ms. Numbers increase by one and may wrap at
 * 2^64: compare them by their difference. */
struct receipt receipts_next(struct receipts *r, uint64_t turn);

#endif
