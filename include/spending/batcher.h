#ifndef BATCHER_H
#define BATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/list.h"
#include "pg/pace.h"
#include "spending/batch.h"

/* Gathers rows into batches for the writers.
 *
 * Rows gather in the open batch until a writer takes it. While no writer is busy, that is after a short gap (pace.h).
 * Rows that come while one is busy are the next batch: that writer takes them as soon as it is idle. Others stay out
 * of it until the batch is worth a commit of its own, or the busy writer takes longer than usual.
 *
 * While the open batch is full, there is no room but for clients that send little. If more comes all the same, from
 * the resolver, say, the batch is sealed, and another one opened.
 *
 * Doubtful batches, in which a bad row is looked for, take many statements: they stand aside, so that they
 * take no room and others pass them. Where both wait, writers get one of the others and one of them in turn.
 */
struct batcher {
        uv_loop_t *loop;
        uv_timer_t gather; /* when an idle writer takes the open batch at the latest */
        uv_timer_t wake;   /* when a doubtful batch is due */
        struct memory *memory;
        struct pace pace;
        struct batch *open;
        size_t last_len; /* rows of the batch before: so many are expected again */
        struct list sealed;
        size_t sealed_len;
        struct list doubtful;
        size_t doubtful_rows;
        size_t resting_rows; /* of these, in batches that are tried again from time to time, others proceed */
        bool doubtful_next;  /* the last batch taken was none of these */
        void (*on_waiting)(void *ctx); /* a batch may be taken */
        void *ctx;
        void (*close_cb)(struct batcher *);
};

void batcher_init(struct batcher *b, uv_loop_t *loop, struct memory *memory, const struct pace_limits *limits,
                  void (*on_waiting)(void *ctx), void *ctx);

/* From the next row on. */
void batcher_set_limits(struct batcher *b, const struct pace_limits *limits);

/* All batches must have been taken. */
void batcher_close(struct batcher *b, void (*cb)(struct batcher *));

/* For clients that send little; for all: batcher_has_room. */
static inline bool batcher_has_reserve(const struct batcher *b)
{
        return b->sealed_len == 0;
}

static inline bool batcher_has_room(const struct batcher *b)
{
        return b->sealed_len == 0 && !(b->open && pace_full(&b->pace, b->open->len, b->open->bytes));
}

/* Batches that are full, or were sealed. */
static inline size_t batcher_waiting(const struct batcher *b)
{
        return b->sealed_len + (b->open && pace_full(&b->pace, b->open->len, b->open->bytes));
}

/* Takes over *row. */
void batcher_add_take(struct batcher *b, const struct row *row);

/* No more rows are on their way: an idle writer takes the open batch now. */
void batcher_hurry(struct batcher *b);

/* The same from now on. */
void batcher_drain(struct batcher *b);

/* A batch was committed, @us after it was taken. */
void batcher_committed(struct batcher *b, const struct batch *batch, uint64_t us);

/* Whether who has rows in doubtful batches may send more. */
static inline bool batcher_has_room_for_doubtful(const struct batcher *b)
{
        return b->doubtful_rows < b->pace.limits.rows;
}

/* Puts a batch back that was taken: before all others, or a doubtful one among these, the smaller ones first. */
void batcher_return(struct batcher *b, struct batch *batch);

/* Resting batches are due now. */
void batcher_wake(struct batcher *b);

/* Whether rows wait that should be written soon. */
static inline bool batcher_waits(const struct batcher *b)
{
        return b->sealed_len > 0 || b->open || b->doubtful_rows > b->resting_rows;
}

/* For an idle writer, while @busy others have a batch: the batch to be written next, or NULL, where on_waiting follows. */
struct batch *batcher_take(struct batcher *b, unsigned busy);

/* Any batch, whether it is due or not. */
struct batch *batcher_take_any(struct batcher *b);

/* True where no row is here. */
static inline bool batcher_empty(const struct batcher *b)
{
        return b->sealed_len == 0 && list_empty(&b->doubtful) && !b->open;
}

#endif
