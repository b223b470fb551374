#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts the memory held for clients (blocks of received bytes, and rows on their way to the database), so
 * that reading pauses at a limit. Unread replies have a limit of their own per session. */
struct memory {
        size_t used; /* bytes */
        size_t limit;
        struct block *spare; /* blocks of the usual size, kept for reuse; not counted in used */
        unsigned spare_len;
};

/* Received bytes. Each row points into the block that contains its line and holds a reference to the block. */
struct block {
        struct memory *memory;
        struct block *next; /* next spare block */
        size_t cap;
        size_t len; /* bytes received */
        uint32_t refs;
        char data[];
};

enum { BLOCK_BYTES = 64 * 1024 };

void memory_init(struct memory *m, size_t limit);

/* Frees the spare blocks. All other memory must have been returned. */
void memory_deinit(struct memory *m);

static inline bool memory_full(const struct memory *m)
{
        return m->used >= m->limit;
}

static inline void memory_add(struct memory *m, size_t bytes)
{
        m->used += bytes;
}

void memory_sub(struct memory *m, size_t bytes);

/* As in libc, but they never return NULL: a process without memory aborts. */
void *must_malloc(size_t bytes);
void *must_calloc(size_t len, size_t item_bytes);
void *must_realloc(void *memory, size_t bytes);
char *must_strdup(const char *text);

/* Returns a counted array of @cap items (at least one) of @item_bytes each. */
void *memory_array(struct memory *m, size_t cap, size_t item_bytes);

/* Doubles an array of *cap items of @item_bytes each and returns its new address. Start with *cap 0 and
 * @items NULL. Aborts if memory runs out. */
void *array_grow(void *items, size_t *cap, size_t item_bytes);

/* As array_grow, for a counted array. */
void *memory_grow(struct memory *m, void *items, size_t *cap, size_t item_bytes);

/* Returns a block for at least @min_bytes with one reference. Aborts if memory runs out; the limit keeps
 * that from happening. */
struct block *block_new(struct memory *m, size_t min_bytes);

/* As block_new, for exactly @bytes: for data that is kept for long. */
struct block *block_new_exact(struct memory *m, size_t bytes);

static inline struct block *block_ref(struct block *b)
{
        b->refs++;
        return b;
}

/* @b may be NULL. */
void block_unref(struct block *b);

#endif
