#ifndef BATCHER_H
#define BATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/list.h"
#include "spending/batch.h"

/* Collects rows in batches, seals a batch on rows, bytes or age, and queues sealed batches for the writers.
 *
 * Doubtful batches, in which a bad row is searched for, take many statements. They queue apart, without
 * taking others' room, and writers get batches of both queues in turn. */
struct batcher {
        uv_loop_t *loop;
        uv_timer_t linger;
        uv_timer_t wake; /* when a doubtful batch is due */
        struct memory *memory;
        size_t max_rows;
        size_t max_bytes;
        unsigned linger_ms;
        size_t max_sealed; /* maximum of sealed batches: at this number there is no room */
        struct batch *open;
        size_t last_len; /* rows of the previous batch: as many are expected again */
        struct list sealed;
        size_t sealed_len;
        struct list doubtful;
        size_t doubtful_rows;
        /* of these, rows in batches that are retried from time to time while others proceed */
        size_t resting_rows;
        bool doubtful_next;           /* the last batch taken was not a doubtful one */
        void (*on_sealed)(void *ctx); /* a batch waits to be taken */
        void *ctx;
        void (*close_cb)(struct batcher *);
};

struct batcher_limits {
        size_t rows;
        size_t bytes;
        unsigned linger_ms;
        size_t sealed; /* batches */
};

void batcher_init(struct batcher *b, uv_loop_t *loop, struct memory *memory,
                  const struct batcher_limits *limits, void (*on_sealed)(void *ctx), void *ctx);

/* Applies to later rows. */
void batcher_set_limits(struct batcher *b, const struct batcher_limits *limits);

/* All batches must have been taken. */
void batcher_close(struct batcher *b, void (*cb)(struct batcher *));

static inline bool batcher_has_room(const struct batcher *b)
{
        return b->sealed_len < b->max_sealed;
}

/* Takes over *row. */
void batcher_add_take(struct batcher *b, const struct row *row);

/* Seals the open batch, if it has rows, without waiting. */
void batcher_seal(struct batcher *b);

/* True if clients that have rows in doubtful batches may send more. */
static inline bool batcher_has_room_for_doubtful(const struct batcher *b)
{
        return b->doubtful_rows < b->max_rows;
}

/* Puts a batch back that was taken: in front of all others; a doubtful one among these, sorted by size. */
void batcher_return(struct batcher *b, struct batch *batch);

/* Makes resting batches due. */
void batcher_wake(struct batcher *b);

/* True if a batch waits that should be written soon. */
static inline bool batcher_waits(const struct batcher *b)
{
        return b->sealed_len > 0 || b->doubtful_rows > b->resting_rows;
}

/* The batch to be tried next, or NULL. */
struct batch *batcher_take(struct batcher *b);

/* As batcher_take, whether the batch is due or not. */
struct batch *batcher_take_any(struct batcher *b);

/* True if the batcher holds no rows. */
static inline bool batcher_empty(const struct batcher *b)
{
        return b->sealed_len == 0 && list_empty(&b->doubtful) && !b->open;
}

#endif
