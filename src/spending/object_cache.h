#ifndef OBJECT_CACHE_H
#define OBJECT_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include <xxhash.h>

#include "base/uuid.h"

/* Maps keys to ad objects. A key is the 128-bit hash of what identifies an object (platform, connectionId?,
 * accountExternalId, externalId), with a secret of the process (name_key_hash). The texts are not kept:
 * among a billion keys the probability of a collision is 10^-21, and clients cannot search for one. A hash
 * table with open addressing and linear probing. */

/* A key of zeros marks a free entry. */
struct object_cache_entry {
        XXH128_hash_t key;
        struct uuid object;
};

struct object_cache {
        struct object_cache_entry *entries;
        size_t cap; /* a power of two, or 0 */
        size_t len;
        size_t max_len; /* at this size a new entry replaces another */
        size_t hand;    /* slot at which the search for an entry to replace starts */
};

void object_cache_init(struct object_cache *c, size_t max_len);
void object_cache_deinit(struct object_cache *c);

/* Returns the entry's ad object, valid until the cache changes, or NULL. */
const struct uuid *object_cache_get(const struct object_cache *c, XXH128_hash_t key);

/* Adds or replaces. */
void object_cache_put(struct object_cache *c, XXH128_hash_t key, const struct uuid *object);

void object_cache_remove(struct object_cache *c, XXH128_hash_t key);

/* Copies up to @max entries from the next @places slots to @out, starting at *hand, which advances and
 * wraps. Returns the number of slots read. An entry stays in its slot unless the cache grows or entries are
 * removed. */
size_t object_cache_read(const struct object_cache *c, size_t *hand, size_t places,
                         struct object_cache_entry *out, size_t max, size_t *ret_len);

void object_cache_clear(struct object_cache *c);

#endif
