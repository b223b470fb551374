#include "batch.h"

#include <assert.h>
#include <stdlib.h>

struct batch *batch_new(struct memory *memory)
{
        struct batch *b = calloc(1, sizeof(*b));

        if (!b)
                abort();
        list_init(&b->queue);
        b->memory = memory;
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

struct batch *batch_split(struct batch *b)
{
        struct batch *second = batch_new(b->memory);
        size_t half = b->len / 2;

        assert(b->len >= 2);
        second->opened = b->opened;
        second->merge = b->merge;
        second->doubtful = b->doubtful;
        second->suspicion = b->suspicion;
        for (size_t i = half; i < b->len; i++) {
                b->bytes -= b->rows[i].line.text.len;
                batch_add_take(second, &b->rows[i]);
        }
        b->len = half;
        return second;
}
