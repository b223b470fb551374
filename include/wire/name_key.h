#ifndef NAME_KEY_H
#define NAME_KEY_H

#include <stddef.h>

#include <xxhash.h>

#include "base/json.h"
#include "base/uuid.h"
#include "model/platform.h"
#include "wire/fields.h"

/* The bytes under which the names of an account or object are hashed. The encoding is injective: equal bytes
 * mean equal parts, for keys made of the same kinds of parts. */
struct name_key {
        char bytes[3 + sizeof(struct uuid) +
                   2 * (1 + EXTERNAL_ID_MAX)]; /* for the longest key: a tag and all parts */
        size_t len;                            /* 0 at first */
};

/* Random bytes that enter all hashes of names: without them a client can find neither two names with one
 * hash nor many names for one slot of a table. */
struct name_key_secret {
        unsigned char bytes[XXH3_SECRET_DEFAULT_SIZE];
};

void name_key_secret_draw(struct name_key_secret *secret);

/* XXH3 is not a cryptographic hash. Collisions cannot be computed since the secret is in no reply and no id.
 * XXH3 multiplies all bytes of a text with the secret only up to 240 bytes, so longer names are hashed in
 * pieces. */
XXH128_hash_t name_key_hash(const struct name_key *k, const struct name_key_secret *secret);

/* Adds a byte that distinguishes several sorts of keys in one table. */
void name_key_tag(struct name_key *k, unsigned char tag);

/* @connection is NULL if the record names none. */
void name_key_account(struct name_key *k, enum platform platform, const struct uuid *connection,
                      struct json_string external_id);

/* @id is a result of fields_external_id; an escaped and a plain form give the same key. */
void name_key_id(struct name_key *k, struct json_string id);

#endif
