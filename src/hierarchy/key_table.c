#include "hierarchy/key_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

#include <xxhash.h>

#include "base/memory.h"

enum { FIRST_ENTRIES = 64 };

/* A hash table with open addressing and linear probing. */
struct key_entry {
        uint64_t hash;
        size_t start; /* offset of the key in the table's bytes */
        uint32_t len; /* length of the key; 0: free */
        int32_t value;
};

void key_table_init(struct key_table *t, struct memory *memory)
{
        *t = (struct key_table){.memory = memory};
        if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
                abort(); /* getrandom(2) never returns fewer than 8 bytes */
}

void key_table_deinit(struct key_table *t)
{
        memory_sub(t->memory, t->cap * sizeof(*t->entries) + t->bytes.cap);
        free(t->entries);
        buf_deinit(&t->bytes);
}

static bool same_key(const struct key_table *t, const struct key_entry *e, uint64_t hash,
                     const struct name_key *key)
{
        return e->hash == hash && e->len == key->len &&
               memcmp(t->bytes.data + e->start, key->bytes, key->len) == 0;
}

/* Returns the key's slot, or a free one for it. */
static struct key_entry *place_of(const struct key_table *t, uint64_t hash, const struct name_key *key)
{
        size_t i = (size_t)hash & (t->cap - 1);

        while (t->entries[i].len && !same_key(t, &t->entries[i], hash, key))
                i = (i + 1) & (t->cap - 1);
        return &t->entries[i];
}

static uint64_t hash_of(const struct key_table *t, const struct name_key *key)
{
        return XXH3_64bits_withSeed(key->bytes, key->len, t->seed);
}

int32_t *key_table_find(const struct key_table *t, const struct name_key *key)
{
        struct key_entry *e = t->cap ? place_of(t, hash_of(t, key), key) : NULL;

        return e && e->len ? &e->value : NULL;
}

static void grow(struct key_table *t)
{
        struct key_entry *old = t->entries;
        size_t old_cap = t->cap;

        t->cap = old_cap ? old_cap * 2 : FIRST_ENTRIES;
        t->entries = must_calloc(t->cap, sizeof(*t->entries));
        for (size_t i = 0; i < old_cap; i++) {
                size_t place = (size_t)old[i].hash & (t->cap - 1);

                if (!old[i].len)
                        continue;
                while (t->entries[place].len)
                        place = (place + 1) & (t->cap - 1);
                t->entries[place] = old[i];
        }
        free(old);
        memory_add(t->memory, (t->cap - old_cap) * sizeof(*t->entries));
}

static size_t store_bytes(struct key_table *t, const struct name_key *key)
{
        size_t start = t->bytes.len;
        size_t cap = t->bytes.cap;

        buf_put(&t->bytes, key->bytes, key->len);
        memory_add(t->memory, t->bytes.cap - cap);
        return start;
}

int32_t *key_table_add(struct key_table *t, const struct name_key *key, int32_t value)
{
        uint64_t hash = hash_of(t, key);
        struct key_entry *e;

        if (t->len * 2 >= t->cap)
                grow(t);
        e = place_of(t, hash, key);
        if (!e->len) {
                *e = (struct key_entry){hash, store_bytes(t, key), (uint32_t)key->len, value};
                t->len++;
        }
        return &e->value;
}
