#ifndef OBJECT_CACHE_H
#define OBJECT_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include <xxhash.h>

#include "base/uuid.h"

/* Which ad object a key belongs to. A key is the 128-bit hash of what an object is resolved by (contract,
 * (platform, connectionId?, accountExternalId, externalId)), with a secret of the process (name_key_hash). The
 * texts themselves are not kept: of a billion keys two share a hash with a probability of 10^-21, and nobody can
 * look for two that do. One probe finds an entry: open addressing, linear. */

/* A key of zeros marks a free entry. */
struct object_cache_entry {
        XXH128_hash_t key;
        struct uuid object;
};

struct object_cache {
        struct object_cache_entry *entries;
        size_t cap; /* a power of two, or 0 */
        size_t len;
        size_t max_len; /* when reached, some entry gives way to a new one */
        size_t hand;    /* where the next one to give way is looked for */
};

void object_cache_init(struct object_cache *c, size_t max_len);
void object_cache_deinit(struct object_cache *c);

/* The entry's ad object, valid until the cache is changed, or NULL. */
const struct uuid *object_cache_get(const struct object_cache *c, XXH128_hash_t key);

/* Adds or replaces. */
void object_cache_put(struct object_cache *c, XXH128_hash_t key, const struct uuid *object);

void object_cache_remove(struct object_cache *c, XXH128_hash_t key);

/* Copies entries to @out, up to @max of them and from up to @places places on, beginning with *hand, which moves on
 * and around. Returns the number of places; an entry is in one place, unless the cache has grown or entries were
 * removed meanwhile. */
size_t object_cache_read(const struct object_cache *c, size_t *hand, size_t places,
                         struct object_cache_entry *out, size_t max, size_t *ret_len);

void object_cache_clear(struct object_cache *c);

#endif
