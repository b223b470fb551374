#include "spending/object_cache.h"

#include <stdlib.h>

#include "base/memory.h"

enum { FIRST_CAP = 1024 };

static bool is_free(const struct object_cache_entry *e)
{
        return e->key.low64 == 0 && e->key.high64 == 0;
}

static bool same(XXH128_hash_t a, XXH128_hash_t b)
{
        return a.low64 == b.low64 && a.high64 == b.high64;
}

static size_t home(const struct object_cache *c, XXH128_hash_t key)
{
        return (size_t)key.low64 & (c->cap - 1);
}

void object_cache_init(struct object_cache *c, size_t max_len)
{
        *c = (struct object_cache){.max_len = max_len};
}

void object_cache_deinit(struct object_cache *c)
{
        free(c->entries);
        *c = (struct object_cache){0};
}

void object_cache_clear(struct object_cache *c)
{
        size_t max_len = c->max_len;

        object_cache_deinit(c);
        object_cache_init(c, max_len);
}

/* Returns the entry of @key, or the free one in which it would be stored. */
static struct object_cache_entry *find(const struct object_cache *c, XXH128_hash_t key)
{
        size_t i = home(c, key);

        while (!is_free(&c->entries[i]) && !same(c->entries[i].key, key))
                i = (i + 1) & (c->cap - 1);
        return &c->entries[i];
}

const struct uuid *object_cache_get(const struct object_cache *c, XXH128_hash_t key)
{
        const struct object_cache_entry *e;

        if (c->len == 0)
                return NULL;
        e = find(c, key);
        return is_free(e) ? NULL : &e->object;
}

static void grow(struct object_cache *c)
{
        struct object_cache_entry *old = c->entries;
        size_t old_cap = c->cap;

        c->cap = old_cap ? old_cap * 2 : FIRST_CAP;
        c->entries = must_calloc(c->cap, sizeof(*c->entries));
        for (size_t i = 0; i < old_cap; i++) {
                if (!is_free(&old[i]))
                        *find(c, old[i].key) = old[i];
        }
        free(old);
}

/* Frees entry @i and moves up later entries that would not be found across the gap. */
static void remove_at(struct object_cache *c, size_t i)
{
        size_t mask = c->cap - 1;

        for (size_t j = (i + 1) & mask; !is_free(&c->entries[j]); j = (j + 1) & mask) {
                size_t want = home(c, c->entries[j].key);

                if (((j - want) & mask) >= ((j - i) & mask)) {
                        c->entries[i] = c->entries[j];
                        i = j;
                }
        }
        memset(&c->entries[i], 0, sizeof(c->entries[i]));
        c->len--;
}

/* Entries are in the order of their hashes, so the next one is a random one. */
static void evict(struct object_cache *c)
{
        do
                c->hand = (c->hand + 1) & (c->cap - 1);
        while (is_free(&c->entries[c->hand]));
        remove_at(c, c->hand);
}

void object_cache_put(struct object_cache *c, XXH128_hash_t key, const struct uuid *object)
{
        struct object_cache_entry *e;

        if (c->max_len == 0 || (key.low64 == 0 && key.high64 == 0))
                return;
        if ((c->len + 1) * 4 > c->cap * 3)
                grow(c);
        e = find(c, key);
        if (is_free(e) && c->len >= c->max_len) {
                evict(c);
                e = find(c, key);
        }
        c->len += is_free(e);
        e->key = key;
        e->object = *object;
}

void object_cache_remove(struct object_cache *c, XXH128_hash_t key)
{
        struct object_cache_entry *e;

        if (c->len == 0)
                return;
        e = find(c, key);
        if (!is_free(e))
                remove_at(c, (size_t)(e - c->entries));
}

/* A removal moves entries towards the start of their run, possibly past the hand. Returns the length of the
 * run up to the hand; some slots are always free. */
static size_t run_behind(const struct object_cache *c, size_t i)
{
        size_t len = 0;

        while (!is_free(&c->entries[(i - len - 1) & (c->cap - 1)]))
                len++;
        return len;
}

size_t object_cache_read(const struct object_cache *c, size_t *hand, size_t places,
                         struct object_cache_entry *out, size_t max, size_t *ret_len)
{
        size_t passed = 0;

        *ret_len = 0;
        if (c->cap == 0)
                return places;
        for (size_t back = run_behind(c, *hand); back > 0 && *ret_len < max / 2; back--)
                out[(*ret_len)++] = c->entries[(*hand - back) & (c->cap - 1)];
        for (; passed < places && *ret_len < max; passed++) {
                if (!is_free(&c->entries[*hand]))
                        out[(*ret_len)++] = c->entries[*hand];
                *hand = (*hand + 1) & (c->cap - 1);
        }
        return passed;
}
