#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE_MAX = 64, FIRST_ITEMS = 64 };

static void *must(void *memory)
{
        if (!memory)
                abort();
        return memory;
}

void *must_malloc(size_t bytes)
{
        return must(malloc(bytes));
}

void *must_calloc(size_t len, size_t item_bytes)
{
        return must(calloc(len, item_bytes));
}

void *must_realloc(void *memory, size_t bytes)
{
        return must(realloc(memory, bytes));
}

char *must_strdup(const char *text)
{
        return must(strdup(text));
}

void memory_init(struct memory *m, size_t limit)
{
        *m = (struct memory){.limit = limit};
}

void memory_deinit(struct memory *m)
{
        while (m->spare) {
                struct block *b = m->spare;

                m->spare = b->next;
                free(b);
        }
        assert(m->used == 0);
}

void memory_sub(struct memory *m, size_t bytes)
{
        assert(m->used >= bytes);
        m->used -= bytes;
}

void *array_grow(void *items, size_t *cap, size_t item_bytes)
{
        *cap = *cap ? *cap * 2 : FIRST_ITEMS;
        return must_realloc(items, *cap * item_bytes);
}

void *memory_array(struct memory *m, size_t cap, size_t item_bytes)
{
        void *items = must_malloc(cap * item_bytes);

        memory_add(m, cap * item_bytes);
        return items;
}

void *memory_grow(struct memory *m, void *items, size_t *cap, size_t item_bytes)
{
        size_t old = *cap;

        items = array_grow(items, cap, item_bytes);
        memory_add(m, (*cap - old) * item_bytes);
        return items;
}

static struct block *init_block(struct block *b, struct memory *m, size_t cap)
{
        must(b);
        b->memory = m;
        b->next = NULL;
        b->cap = cap;
        b->len = 0;
        b->refs = 1;
        memory_add(m, sizeof(*b) + cap);
        return b;
}

struct block *block_new(struct memory *m, size_t min_bytes)
{
        struct block *b = m->spare;

        if (min_bytes > BLOCK_BYTES || !b)
                return block_new_exact(m, min_bytes > BLOCK_BYTES ? min_bytes : BLOCK_BYTES);
        m->spare = b->next;
        m->spare_len--;
        return init_block(b, m, BLOCK_BYTES);
}

struct block *block_new_exact(struct memory *m, size_t bytes)
{
        return init_block(malloc(sizeof(struct block) + bytes), m, bytes);
}

void block_unref(struct block *b)
{
        struct memory *m;

        if (!b || --b->refs > 0)
                return;
        m = b->memory;
        memory_sub(m, sizeof(*b) + b->cap);
        if (b->cap == BLOCK_BYTES && m->spare_len < SPARE_MAX) {
                b->next = m->spare;
                m->spare = b;
                m->spare_len++;
        } else {
                free(b);
        }
}
