#ifndef RECEIVED_H
#define RECEIVED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/slice.h"
#include "wire/frame.h"

/* The bytes of one client that are received and not handed on: lines that wait for room, and one that has no
 * end yet. Blocks begin small and follow what the client sends. Long lines have a share of the memory limit. When
 * it is used up, one of those that it holds goes on beside it, to its end, and the others wait for their turn: so
 * each is read in the end. Small blocks are always there, so that ordinary lines never wait for somebody's long
 * ones. */

/* What the sessions of a worker share. */
struct receiving {
        struct memory *memory;
        size_t max_line;                 /* bytes */
        size_t held;                     /* bytes of blocks that hold bytes which are not handed on */
        size_t held_long;                /* of these, in blocks that are not small */
        const struct received *favoured; /* whose long line may grow although the share is used up; or NULL */
};

/* Zeroed at first, but for shared. */
struct received {
        struct receiving *shared;
        struct block *block; /* block->data[parsed..block->len] is not cut into lines yet */
        size_t parsed;
        struct frame frame;
        bool unparsed;      /* whole lines may stand in the block */
        size_t block_bytes; /* of the next block */
        size_t held;        /* what shared->held counts for it */
        size_t held_long;   /* likewise */
};

/* Whether received_room would give any: false while an unfinished line waits for its share. */
bool received_may_grow(const struct received *r);

/* Whether it holds more than a longest line, so that it should be given no more before lines are cut. */
bool received_full(const struct received *r);

/* Where further bytes go, *ret_len of them at most; at least one where received_may_grow. */
char *received_room(struct received *r, size_t *ret_len);

/* So many bytes were put there. */
void received_add(struct received *r, size_t len);

/* Cuts the next line, while r->unparsed; FRAME_MORE ends that. *ret_line borrows the block, and is the line's
 * beginning on FRAME_TOO_LONG. With @ended no more bytes come. */
enum frame_result received_next(struct received *r, bool ended, struct slice *ret_line);

/* After lines were cut: gives back what is not needed. */
void received_tidy(struct received *r);

/* Forgets everything. */
void received_drop(struct received *r);

/* Whether it holds more than a small block: what could be given up for others. */
static inline bool received_hoards(const struct received *r)
{
        return r->held_long > 0;
}

#endif
