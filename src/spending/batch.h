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
        int64_t first_us; /* no row's collected_at is earlier than the first, nor later than the last */
        int64_t last_us;
        uint64_t opened; /* loop time in ms of the first row */
        bool doubtful; /* it steps aside: a row of it may be to blame for an error, or it costs the server much */
        uint64_t due; /* it rests: loop time in ms before which it is not tried again; 0: it never rested */
        struct suspicion suspicion;
        bool locked;   /* its ad objects were locked by somebody when it was last looked at */
        bool pruned;   /* a row that the server named was taken out */
        bool merge;    /* some of it may be stored already: INSERT ... ON CONFLICT instead of COPY */
        bool copied;   /* what is stored of it is: a COPY of its own stored it */
        bool any_time; /* holds a record with any_time set, which needs a merge of its own (portion.h) */
};

/* An empty batch, with room for @expected rows, and more when they come. Its memory is counted in @memory. */
struct batch *batch_new(struct memory *memory, size_t expected);

/* The rows must have been settled or moved. */
void batch_free(struct batch *b);

/* Takes over *row. */
void batch_add_take(struct batch *b, const struct row *row);

/* Gives back what rows took that left it. */
void batch_trim(struct batch *b);

/* Takes row @i's place for the last row: the caller moved row @i elsewhere. */
void batch_remove(struct batch *b, size_t i);

/* An empty batch for some of the rows of @b, which are held against it no longer. */
struct batch *batch_new_part(const struct batch *b, size_t expected);

/* Moves row @i of a batch of at least two rows to a new batch. */
struct batch *batch_prune(struct batch *b, size_t i);

/* Moves the second half of a batch of at least two rows to a new batch. */
struct batch *batch_split(struct batch *b);

#endif
