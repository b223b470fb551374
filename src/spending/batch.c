#include "spending/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

struct batch *batch_new(struct memory *memory, size_t expected)
{
        struct batch *b = must_calloc(1, sizeof(*b));

        list_init(&b->queue);
        b->memory = memory;
        b->rows = memory_array(memory, expected, sizeof(*b->rows));
        b->cap = expected;
        return b;
}

void batch_free(struct batch *b)
{
        memory_sub(b->memory, b->cap * sizeof(*b->rows));
        free(b->rows);
        free(b);
}

void batch_add_take(struct batch *b, const struct row *row)
{
        if (b->len == b->cap)
                b->rows = memory_grow(b->memory, b->rows, &b->cap, sizeof(*b->rows));
        if (b->len == 0 || row->rec.collected_at < b->first_us)
                b->first_us = row->rec.collected_at;
        if (b->len == 0 || row->rec.collected_at > b->last_us)
                b->last_us = row->rec.collected_at;
        b->rows[b->len++] = *row;
        b->bytes += row->line.text.len;
        b->any_time |= row->rec.any_time;
}

void batch_remove(struct batch *b, size_t i)
{
        assert(i < b->len);
        b->bytes -= b->rows[i].line.text.len;
        b->rows[i] = b->rows[--b->len];
}

void batch_trim(struct batch *b)
{
        assert(b->len > 0);
        if (b->cap == b->len)
                return;
        memory_sub(b->memory, (b->cap - b->len) * sizeof(*b->rows));
        b->cap = b->len;
        b->rows = must_realloc(b->rows, b->cap * sizeof(*b->rows));
}

struct batch *batch_new_part(const struct batch *b, size_t expected)
{
        struct batch *part = batch_new(b->memory, expected);

        part->opened = b->opened;
        part->merge = b->merge;
        part->copied = b->copied;
        part->doubtful = b->doubtful;
        part->distrusted = b->distrusted;
        part->suspicion = suspect_divide(&b->suspicion);
        return part;
}

struct batch *batch_prune(struct batch *b, size_t i)
{
        struct batch *part = batch_new_part(b, 1);
        struct row row = b->rows[i];

        assert(b->len >= 2);
        batch_remove(b, i);
        batch_add_take(part, &row);
        b->suspicion = part->suspicion;
        b->pruned = true;
        return part;
}

struct batch *batch_split(struct batch *b)
{
        size_t half = b->len / 2;
        struct batch *second = batch_new_part(b, b->len - half);

        assert(b->len >= 2);
        b->pruned = false;
        b->suspicion = second->suspicion;
        for (size_t i = half; i < b->len; i++) {
                b->bytes -= b->rows[i].line.text.len;
                batch_add_take(second, &b->rows[i]);
        }
        b->len = half;
        return second;
}

struct batch *batch_part(struct batch *b, bool (*belongs)(const void *ctx, const struct row *row),
                         const void *ctx)
{
        struct batch *part = NULL;

        for (size_t i = b->len; i-- > 0;) {
                struct row row = b->rows[i];

                if (!belongs(ctx, &row))
                        continue;
                if (!part)
                        part = batch_new_part(b, i + 1);
                batch_remove(b, i);
                batch_add_take(part, &row);
        }
        if (part && b->len > 0)
                b->suspicion = part->suspicion;
        else if (part)
                part->suspicion = b->suspicion; /* no row has left the set */
        return part;
}
