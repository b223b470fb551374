#ifndef RECEIVED_H
#define RECEIVED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/slice.h"
#include "wire/frame.h"

/* Bytes received from one client and not yet passed on: lines that wait for room, and an unfinished line.
 * Blocks start small and adapt to what the client sends. Long lines share a part of the memory limit. When
 * that part is used up, one of them may grow beyond it, to its end, and the others wait for their turn, so
 * each is read eventually. Small blocks are always available, so ordinary lines never wait for long ones of
 * others. */

/* What the sessions of a worker share. */
struct receiving {
        struct memory *memory;
        size_t max_line;                 /* bytes */
        size_t held;                     /* size of blocks with bytes not yet passed on */
        size_t held_long;                /* part of held in blocks that are not small */
        const struct received *favoured; /* the client whose long line may grow beyond the share; or NULL */
};

/* Zeroed at first, except for shared. */
struct received {
        struct receiving *shared;
        struct block *block; /* block->data[parsed..block->len] has not been split into lines */
        size_t parsed;
        struct frame frame;
        bool unparsed;      /* the block may contain whole lines */
        size_t block_bytes; /* size of the next block */
        size_t held;        /* its part of shared->held */
        size_t held_long;   /* its part of shared->held_long */
};

/* False while an unfinished line waits for its share, and received_room would return nothing. */
bool received_may_grow(const struct received *r);

/* True if it holds more than a longest line: split lines before adding more. */
bool received_full(const struct received *r);

/* Returns space for at most *ret_len further bytes, at least one if received_may_grow. */
char *received_room(struct received *r, size_t *ret_len);

/* @len bytes were written to that space. */
void received_add(struct received *r, size_t len);

/* What was not split into lines yet; there must be a block. */
static inline struct slice received_unparsed(const struct received *r)
{
        return (struct slice){r->block->data + r->parsed, r->block->len - r->parsed};
}

/* Splits off the next line; call it while r->unparsed, until FRAME_MORE. *ret_line points into the block; on
 * FRAME_TOO_LONG it is the line's beginning. @ended: no more bytes will come. */
enum frame_result received_next(struct received *r, bool ended, struct slice *ret_line);

/* Frees what is not needed after lines were split off. */
void received_tidy(struct received *r);

/* Drops everything. */
void received_drop(struct received *r);

/* True if it holds more than a small block, which others could use. */
static inline bool received_hoards(const struct received *r)
{
        return r->held_long > 0;
}

#endif
