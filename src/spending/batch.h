#ifndef BATCH_H
#define BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/memory.h"
#include "pg/suspect.h"
#include "spending/row.h"

/* Rows that go to the database in one statement. */
struct batch {
        struct list queue; /* the batcher's */
        struct memory *memory;
        struct row *rows;
        size_t len;
        size_t cap;
        size_t bytes;     /* of the rows' lines */
        int64_t first_us; /* bounds of the rows' collected_at */
        int64_t last_us;
        uint64_t opened; /* loop time in ms of the first row */
        /* it is set apart: one of its rows may be at fault, or it is expensive for the server */
        bool doubtful;
        bool distrusted; /* its rows' clients have sent rows that were at fault */
        uint64_t due; /* loop time in ms before which a resting batch is not tried again; 0: never rested */
        struct suspicion suspicion;
        bool locked;   /* its ad objects were locked when last checked */
        bool pruned;   /* a row that the server named was taken out */
        bool merge;    /* parts may be stored already: INSERT ... ON CONFLICT instead of COPY */
        bool copied;   /* rows found stored were stored by its own COPY */
        bool any_time; /* holds a record with any_time set, which needs a merge of its own (portion.h) */
};

/* Returns an empty batch with room for @expected rows, which grows if needed. @memory counts it. */
struct batch *batch_new(struct memory *memory, size_t expected);

/* All rows must have been settled or moved. */
void batch_free(struct batch *b);

/* Takes over *row. */
void batch_add_take(struct batch *b, const struct row *row);

/* Frees memory of rows that have left the batch. */
void batch_trim(struct batch *b);

/* Moves the last row to position @i; the caller has moved row @i elsewhere. */
void batch_remove(struct batch *b, size_t i);

/* Returns an empty batch for some of the rows of @b, without its suspicion. */
struct batch *batch_new_part(const struct batch *b, size_t expected);

/* Moves row @i of a batch of at least two rows to a new batch. */
struct batch *batch_prune(struct batch *b, size_t i);

/* Moves the second half of a batch of at least two rows to a new batch. */
struct batch *batch_split(struct batch *b);

/* Moves the rows for which @belongs is true to a new batch; none may be left. Returns NULL if there are no such rows. */
struct batch *batch_part(struct batch *b, bool (*belongs)(const void *ctx, const struct row *row),
                         const void *ctx);

#endif
