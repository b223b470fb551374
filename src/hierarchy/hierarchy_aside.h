#ifndef HIERARCHY_ASIDE_H
#define HIERARCHY_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/memory.h"
#include "hierarchy/hierarchy_batch.h"
#include "hierarchy/key_table.h"

/* Batches that stepped aside, since some of their rows cannot be written, and the lines that must not pass them:
 * - hierarchy records of any client that are, are named by, or name what such a row is or names;
 * - hierarchy records and spending of the same client and account. A client's lines see its earlier ones, and by
 *   what it is told of one account's objects (who has children, say) these depend on each other.
 * All others pass. The lines that are held wait for the batches, and then become batches here, or go on. */
struct hierarchy_aside {
        struct memory *memory;
        struct list batches;
        struct list held;     /* in the order of their arrival */
        struct list released; /* spending that need not wait any longer, in the same order */
        size_t lines;         /* in the batches, not settled, and in the lists */
        bool indexed;         /* index holds what they are and name; else it is empty */
        struct key_table index;
};

void hierarchy_aside_init(struct hierarchy_aside *a, struct memory *memory);

/* It must be empty. */
void hierarchy_aside_deinit(struct hierarchy_aside *a);

static inline bool hierarchy_aside_empty(const struct hierarchy_aside *a)
{
        return a->lines == 0;
}

/* Takes over a batch, or takes note of what is settled of one that is here. */
void hierarchy_aside_put(struct hierarchy_aside *a, struct hierarchy_batch *b);

/* Gives back a batch whose rows are all settled, if it is here. Hierarchy records that waited for it become a batch
 * here; spending can be taken with hierarchy_aside_pop. */
void hierarchy_aside_remove(struct hierarchy_aside *a, struct hierarchy_batch *b);

/* The batch's first row alone is to wait: it becomes a batch of its own, the others another one, but for those that
 * must not pass it. */
void hierarchy_aside_split(struct hierarchy_aside *a, struct hierarchy_batch *b);

/* The batch that has been due for longest at loop time @now; NULL where there is none. */
struct hierarchy_batch *hierarchy_aside_next(const struct hierarchy_aside *a, uint64_t now);

/* When the next batch will be due; UINT64_MAX where there is none. */
uint64_t hierarchy_aside_due(const struct hierarchy_aside *a);

/* All batches are due. */
void hierarchy_aside_hurry(struct hierarchy_aside *a);

/* Holds those rows of @b that must not pass; each is told to @on_held before. Returns @b or, in its place, a batch
 * of the others, which may be empty. */
struct hierarchy_batch *hierarchy_aside_filter(struct hierarchy_aside *a, struct hierarchy_batch *b,
                                               void (*on_held)(void *ctx, struct line *line), void *ctx);

/* Whether spending must not pass. */
bool hierarchy_aside_holds(struct hierarchy_aside *a, const struct row *row);

/* Takes over *row, which must not pass. */
void hierarchy_aside_hold_take(struct hierarchy_aside *a, const struct row *row);

/* Moves the next spending that need not wait any longer to *ret; false where there is none. */
bool hierarchy_aside_pop(struct hierarchy_aside *a, struct row *ret);

/* Gives up everything: @cb takes over each line that is not settled, in no particular order. */
void hierarchy_aside_evacuate(struct hierarchy_aside *a, line_take_cb *cb, void *ctx);

#endif
