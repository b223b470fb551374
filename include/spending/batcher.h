#ifndef BATCHER_H
#define BATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/list.h"
#include "monitor/stats.h"
#include "spending/batch.h"

/* Gathers rows into batches, seals a batch on rows, bytes or age, and keeps the sealed ones until a writer
 * takes them.
 *
 * Doubtful batches, in which a bad row is looked for, take many statements: they stand aside, so that they
 * take no room and others pass them. Where both wait, writers get one of the others and one of them in turn.
 */
struct batcher {
        uv_loop_t *loop;
        uv_timer_t linger;
        uv_timer_t wake; /* when a doubtful batch is due */
        struct memory *memory;
        size_t max_rows;
        size_t max_bytes;
        unsigned linger_ms;
        size_t max_sealed; /* at so many sealed batches there is no room */
        struct batch *open;
        size_t last_len; /* rows of the batch before: so many are expected again */
        struct list sealed;
        size_t sealed_len;
        struct list doubtful;
        size_t doubtful_rows;
        size_t resting_rows; /* of these, in batches that are tried again from time to time, others proceed */
        bool doubtful_next;  /* the last batch taken was none of these */
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

/* From the next row on. */
void batcher_set_limits(struct batcher *b, const struct batcher_limits *limits);

/* All batches must have been taken. @cb may be NULL. */
void batcher_close(struct batcher *b, void (*cb)(struct batcher *));

static inline bool batcher_has_room(const struct batcher *b)
{
        return b->sealed_len < b->max_sealed;
}

/* Takes over *row. */
void batcher_add_take(struct batcher *b, const struct row *row);

/* Seals the open batch, if it has rows, without waiting. */
void batcher_seal(struct batcher *b);

/* Whether who has rows in doubtful batches may send more. */
static inline bool batcher_has_room_for_doubtful(const struct batcher *b)
{
        return b->doubtful_rows < b->max_rows;
}

/* Puts a batch back that was taken: before all others, or a doubtful one among these, the smaller ones first. */
void batcher_return(struct batcher *b, struct batch *batch);

/* Resting batches are due now. */
void batcher_wake(struct batcher *b);

/* Whether a batch waits that should be written soon. */
static inline bool batcher_waits(const struct batcher *b)
{
        return b->sealed_len > 0 || b->doubtful_rows > b->resting_rows;
}

/* The batch to be tried next, or NULL. */
struct batch *batcher_take(struct batcher *b);

/* The same, whether it is due or not. */
struct batch *batcher_take_any(struct batcher *b);

/* True where no row is here. */
static inline bool batcher_empty(const struct batcher *b)
{
        return b->sealed_len == 0 && list_empty(&b->doubtful) && !b->open;
}

/* Adds what waits to @r. */
void batcher_stats(const struct batcher *b, struct stats *r);

#endif
