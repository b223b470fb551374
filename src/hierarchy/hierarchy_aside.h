#ifndef HIERARCHY_ASIDE_H
#define HIERARCHY_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/memory.h"
#include "hierarchy/hierarchy_batch.h"
#include "hierarchy/key_table.h"

enum { HIERARCHY_APART_ROWS = BATCHER_NEW_ROWS }; /* maximum of rows that gather in one batch */

/* Batches set aside because some of their rows cannot be written, and the lines that must not pass them ("held"):
 * - hierarchy records of any client that share an object or account with such a row: as the record itself, or named in it;
 * - hierarchy records and spending of the same client and account, since a client's lines must see the effect of its
 *   earlier ones, and objects of one account affect each other (by their children, for example).
 * All other lines pass. Held lines wait for these batches, then become batches here or are released.
 *
 * Rows of clients that are likely to send bad rows (batcher.h) are set aside untried, and tried after all rows of other
 * clients: these share no batch with them, and do not wait for them. */
struct hierarchy_aside {
        struct memory *memory;
        struct list batches;
        struct list held;     /* in order of arrival */
        struct list released; /* spending that need not wait any longer, in order of arrival */
        size_t lines;         /* unsettled lines in batches and lists */
        bool indexed;         /* the index is filled; otherwise it is empty */
        struct key_table index;
};

void hierarchy_aside_init(struct hierarchy_aside *a, struct memory *memory);

/* @a must be empty. */
void hierarchy_aside_deinit(struct hierarchy_aside *a);

static inline bool hierarchy_aside_empty(const struct hierarchy_aside *a)
{
        return a->lines == 0;
}

/* Takes over a batch; if it is already here, updates the count of its unsettled lines. */
void hierarchy_aside_put(struct hierarchy_aside *a, struct hierarchy_batch *b);

/* Removes a batch whose rows are all settled, if it is here; the caller owns it again. Hierarchy records
 * that waited for it become a batch here; spending can be popped with hierarchy_aside_pop. */
void hierarchy_aside_remove(struct hierarchy_aside *a, struct hierarchy_batch *b);

/* Makes the batch's first row, which must wait, a batch of its own, with the rows that must not pass it held. Of the remaining
 * rows, those of clients that are likely to send bad ones gather as in hierarchy_aside_filter, unless @give_up takes the line over;
 * all further rows become a second batch. */
void hierarchy_aside_split(struct hierarchy_aside *a, struct hierarchy_batch *b,
                           bool (*give_up)(void *ctx, struct line *line), void *ctx);

/* Drops all lines of clients that are gone: @give_up_take takes each of them over. The writer must not have a batch of these.
 * Lines that waited for them become batches here or are released, as after hierarchy_aside_remove. */
void hierarchy_aside_drop_gone(struct hierarchy_aside *a, line_take_cb *give_up_take, void *ctx);

/* Returns the batch to be tried next of those due at loop time @now: of the most trusted clients, and of these the one that has
 * been due for longest; then one that gathers rows, then those whose row was found to be at fault. NULL if none is due. */
struct hierarchy_batch *hierarchy_aside_next(const struct hierarchy_aside *a, uint64_t now);

/* Loop time in ms at which the next batch is due; UINT64_MAX if there is none. */
uint64_t hierarchy_aside_due(const struct hierarchy_aside *a);

/* Makes all batches due. */
void hierarchy_aside_hurry(struct hierarchy_aside *a);

/* Holds those rows of @b that must not pass, and sets aside those of clients that are likely to send bad ones, calling
 * @on_held before each. Returns @b or a new batch of the other rows, which may be empty. */
struct hierarchy_batch *hierarchy_aside_filter(struct hierarchy_aside *a, struct hierarchy_batch *b,
                                               void (*on_held)(void *ctx, struct line *line), void *ctx);

/* Rows of new clients that gather. */
size_t hierarchy_aside_new_rows(const struct hierarchy_aside *a);

/* True if the spending row must not pass. */
bool hierarchy_aside_holds(struct hierarchy_aside *a, const struct row *row);

/* Takes over *row, which must not pass. */
void hierarchy_aside_hold_take(struct hierarchy_aside *a, const struct row *row);

/* Moves the next released spending row to *ret; returns false if there is none. */
bool hierarchy_aside_pop(struct hierarchy_aside *a, struct row *ret);

/* Gives up everything: @cb takes over each unsettled line, in no particular order. */
void hierarchy_aside_evacuate(struct hierarchy_aside *a, line_take_cb *cb, void *ctx);

#endif
