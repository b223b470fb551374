#ifndef BATCHER_H
#define BATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/list.h"
#include "monitor/stats.h"
#include "pg/pace.h"
#include "spending/batch.h"

/* Gathers rows into batches for the writers.
 *
 * Rows gather in the open batch until a writer takes it. An idle writer takes what a turn of the loop brings, but keeps the gap
 * (pace.h) from the last commit. Rows that come while one writer is busy wait for that writer. Other writers take them only if
 * they fill a quarter of the target, or the busy writer takes longer than usual.
 *
 * A full batch is sealed, and while one waits there is no room. If more rows come, from the resolver for example, another
 * batch is opened.
 *
 * While clients send in bulk, rows of clients that send little gather in a small quick batch. Writers take quick and bulk
 * batches in turn, so these clients do not wait for all bulk of other clients.
 *
 * Doubtful batches, in which a bad row is searched for, take many statements. They queue apart, without
 * taking others' room, and writers get batches of both queues in turn.
 *
 * A client that sent a bad row may send more of them. Its rows gather in the distrusted batch, which is doubtful from the
 * start. So the rows of other clients neither share a batch with bad rows nor wait for them. While new clients send bad
 * rows, the rows of new clients gather in a batch of their own, too. Distrusted batches and those that rest are written in
 * turn with the other doubtful ones. */
enum batcher_sender {
        SENDER_ORDINARY,
        SENDER_LITTLE, /* sends little */
        SENDER_NEW,    /* others as new as this one have sent bad rows */
        SENDER_DISTRUSTED,
};

enum { BATCHER_NEW_ROWS = 32 }; /* of new clients, in one batch */

struct batcher {
        uv_loop_t *loop;
        uv_timer_t gather; /* when an idle writer takes the open batch at the latest */
        uv_timer_t wake;   /* when a doubtful batch is due */
        struct memory *memory;
        struct pace pace;
        struct batch *open;
        struct batch *quick;
        struct batch *unproven; /* of new clients */
        struct batch *distrusted;
        bool quick_last;  /* the last batch taken was a quick one */
        uint64_t bulk_at; /* loop time in ms when a batch was last taken that was worth a writer of its own */
        uint64_t ordinary_at;  /* loop time in ms when a batch that is not doubtful was last taken */
        uint64_t committed_at; /* loop time in ms of the last commit */
        size_t last_len;       /* rows of the previous batch; sizes the memory of the next one */
        struct list sealed;
        size_t sealed_len;
        struct list doubtful;
        size_t doubtful_rows;
        /* of these, rows in batches that are retried from time to time while others proceed */
        size_t resting_rows;
        bool doubtful_next; /* the last batch taken was not a doubtful one */
        bool behind_next;   /* the last doubtful batch taken was neither distrusted nor had rested */
        void (*on_waiting)(void *ctx); /* a batch may be taken */
        void *ctx;
        void (*close_cb)(struct batcher *);
};

void batcher_init(struct batcher *b, uv_loop_t *loop, struct memory *memory, const struct pace_limits *limits,
                  void (*on_waiting)(void *ctx), void *ctx);

/* Applies to later rows. */
void batcher_set_limits(struct batcher *b, const struct pace_limits *limits);

/* All batches must have been taken. @cb may be NULL. */
void batcher_close(struct batcher *b, void (*cb)(struct batcher *));

static inline bool batcher_has_room(const struct batcher *b)
{
        return b->sealed_len == 0;
}

static inline bool batcher_quick_takes_more(const struct batcher *b)
{
        return !b->quick || !pace_quick_full(&b->pace, b->quick->len, b->quick->bytes);
}

/* For clients that send little. */
static inline bool batcher_has_quick_room(const struct batcher *b)
{
        return b->sealed_len <= 1 && batcher_quick_takes_more(b);
}

/* Takes over *row, which a client of this kind sent. */
void batcher_add_take(struct batcher *b, const struct row *row, enum batcher_sender sender);

/* No more rows are on their way: an idle writer takes the open batch now. */
void batcher_hurry(struct batcher *b);

/* The same from now on. */
void batcher_drain(struct batcher *b);

/* A batch was committed, @us after it was taken. */
void batcher_committed(struct batcher *b, const struct batch *batch, uint64_t us);

/* True if clients that have rows in doubtful batches may send more. */
static inline bool batcher_has_room_for_doubtful(const struct batcher *b)
{
        return b->doubtful_rows < b->pace.limits.rows;
}

/* The number of gathered rows of new clients: from BATCHER_NEW_ROWS on, new clients are paused. */
static inline size_t batcher_new_rows(const struct batcher *b)
{
        return b->unproven ? b->unproven->len : 0;
}

/* Puts a taken batch back at the front of its queue; a doubtful one by trust and size. */
void batcher_return(struct batcher *b, struct batch *batch);

/* Makes resting batches due. */
void batcher_wake(struct batcher *b);

/* Whether rows wait that should be written soon. */
static inline bool batcher_waits(const struct batcher *b)
{
        return b->sealed_len > 0 || b->open || b->quick || b->doubtful_rows > b->resting_rows;
}

/* The writers that have a batch. */
struct batcher_busy {
        unsigned ordinary;
        unsigned doubtful; /* their batch is doubtful */
};

/* For an idle writer, while others are @busy: the batch to be written next, or NULL, where on_waiting follows. While there
 * are ordinary batches, one writer at most has a doubtful one. */
struct batch *batcher_take(struct batcher *b, struct batcher_busy busy);

/* Moves all doubtful batches to @ret. */
void batcher_pop_doubtful(struct batcher *b, struct list *ret);

/* Any batch, whether it is due or not. */
struct batch *batcher_take_any(struct batcher *b);

/* True if the batcher holds no rows. */
static inline bool batcher_empty(const struct batcher *b)
{
        return b->sealed_len == 0 && list_empty(&b->doubtful) && !b->open && !b->quick && !b->unproven &&
               !b->distrusted;
}

/* Adds what waits to @r. */
void batcher_stats(const struct batcher *b, struct stats *r);

#endif
