#include "server/received.h"

#include <string.h>

enum {
        BLOCK_FIRST = 4 * 1024,
        ROOM_MIN = 8 * 1024, /* minimum free space for reading into a block; also an eighth of the block */
        SMALL_MIN = 1024,
        SMALL_MAX = 16 * 1024,
};

/* An eighth of the limit, but at least one longest line. */
static size_t share_of_long(const struct receiving *all)
{
        size_t least = all->max_line + 2 * BLOCK_BYTES;
        size_t share = all->memory->limit / 8;

        return share > least ? share : least;
}

/* Block size that every client may have, whatever others hold: a thousand clients use 1/32 of the limit. */
static size_t small_bytes(const struct receiving *all)
{
        size_t bytes = all->memory->limit / (32 * 1024);

        return bytes < SMALL_MIN ? SMALL_MIN : bytes > SMALL_MAX ? SMALL_MAX : bytes;
}

static bool is_crowded(const struct receiving *all)
{
        return all->held >= share_of_long(all) / 2;
}

static size_t unfinished_len(const struct received *r)
{
        return r->block ? r->block->len - r->parsed : 0;
}

static size_t room_min(const struct block *b)
{
        return b->cap / 8 < ROOM_MIN ? b->cap / 8 : ROOM_MIN;
}

/* Size of the next block to read into; 0 if the present one has space. */
static size_t wanted_bytes(const struct received *r)
{
        size_t len = unfinished_len(r);
        size_t usual = r->block_bytes ? r->block_bytes : BLOCK_FIRST;
        size_t most = r->shared->max_line + 2 * BLOCK_BYTES;
        size_t small = small_bytes(r->shared);

        if (r->block && r->block->cap - r->block->len >= room_min(r->block) && r->block->cap > r->block->len)
                return 0;
        if (usual > small && is_crowded(r->shared))
                usual = small;
        if (len * 2 > usual)
                usual = len * 2;
        return usual < most ? usual : most;
}

static bool fits_share(const struct received *r, size_t bytes)
{
        return bytes <= small_bytes(r->shared) || unfinished_len(r) == 0 ||
               r->shared->held_long - r->held_long + bytes <= share_of_long(r->shared);
}

bool received_may_grow(const struct received *r)
{
        const struct received *favoured = r->shared->favoured;

        return !favoured || favoured == r || fits_share(r, wanted_bytes(r));
}

bool received_full(const struct received *r)
{
        return unfinished_len(r) > r->shared->max_line + BLOCK_BYTES;
}

static void note_held(struct received *r)
{
        size_t held = unfinished_len(r) > 0 ? sizeof(*r->block) + r->block->cap : 0;
        size_t held_long = held > sizeof(*r->block) + small_bytes(r->shared) ? held : 0;

        r->shared->held += held - r->held;
        r->shared->held_long += held_long - r->held_long;
        r->held = held;
        r->held_long = held_long;
        if (r->shared->favoured == r && (held_long == 0 || r->shared->held_long <= share_of_long(r->shared)))
                r->shared->favoured = NULL;
}

/* Moves an unfinished line to a block of @bytes. */
static void move_to_block(struct received *r, size_t bytes)
{
        struct block *old = r->block;
        size_t len = unfinished_len(r);

        r->block = bytes == BLOCK_BYTES ? block_new(r->shared->memory, bytes)
                                        : block_new_exact(r->shared->memory, bytes);
        if (len > 0)
                memcpy(r->block->data, old->data + r->parsed, len);
        r->block->len = len;
        r->parsed = 0;
        block_unref(old);
        note_held(r);
}

char *received_room(struct received *r, size_t *ret_len)
{
        size_t bytes = wanted_bytes(r);

        if (!fits_share(r, bytes))
                r->shared->favoured = r;
        if (bytes > unfinished_len(r))
                move_to_block(r, bytes);
        *ret_len = r->block->cap - r->block->len;
        return r->block->data + r->block->len;
}

void received_add(struct received *r, size_t len)
{
        if (len == 0)
                return;
        r->block->len += len;
        if (r->block->len == r->block->cap && r->block->cap < BLOCK_BYTES)
                r->block_bytes = r->block->cap * 4 < BLOCK_BYTES ? r->block->cap * 4 : BLOCK_BYTES;
        r->unparsed = true;
        note_held(r);
}

enum frame_result received_next(struct received *r, bool ended, struct slice *ret_line)
{
        size_t used;
        enum frame_result result =
                frame_next(&r->frame, received_unparsed(r), r->shared->max_line, ended, ret_line, &used);

        r->parsed += used;
        if (result == FRAME_MORE)
                r->unparsed = false;
        return result;
}

void received_tidy(struct received *r)
{
        size_t len = unfinished_len(r);

        if (len == 0)
                received_drop(r);
        else if (!r->unparsed && r->block->cap > small_bytes(r->shared) && len <= r->block->cap / 4 &&
                 is_crowded(r->shared))
                move_to_block(r, len + len / 2);
        else
                note_held(r);
}

void received_drop(struct received *r)
{
        block_unref(r->block);
        r->block = NULL;
        r->parsed = 0;
        r->frame.seen = 0;
        r->unparsed = false;
        note_held(r);
}
