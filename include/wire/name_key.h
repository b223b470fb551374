#ifndef NAME_KEY_H
#define NAME_KEY_H

#include <stddef.h>

#include <xxhash.h>

#include "base/json.h"
#include "base/uuid.h"
#include "model/platform.h"
#include "wire/fields.h"

/* What a record names an account or an object by, as bytes to be hashed: of two keys that are built of the
 * same kinds of pieces, those with the same bytes have the same pieces. */
struct name_key {
        char bytes[3 + sizeof(struct uuid) +
                   2 * (1 + EXTERNAL_ID_MAX)]; /* of the longest: a tag and all below */
        size_t len;                            /* 0 to begin with */
};

/* Random bytes, on which the hashes of names depend: a client that knows this code cannot find two names that
 * share a hash, nor many that share a place in a table. */
struct name_key_secret {
        unsigned char bytes[XXH3_SECRET_DEFAULT_SIZE];
};

void name_key_secret_draw(struct name_key_secret *secret);

/* XXH3 is no cryptographic hash; what keeps names apart is that the secret is never seen, in no reply and no id. It
 * takes part in XXH3's multiplications with all bytes of what has up to 240 of them, so longer names are hashed in pieces. */
XXH128_hash_t name_key_hash(const struct name_key *k, const struct name_key_secret *secret);

/* A byte that tells keys of several sorts in one table apart. */
void name_key_tag(struct name_key *k, unsigned char tag);

/* @connection is NULL where the record names none. */
void name_key_account(struct name_key *k, enum platform platform, const struct uuid *connection,
                      struct json_string external_id);

/* @id as fields_external_id gave it; escapes do not count. */
void name_key_id(struct name_key *k, struct json_string id);

#endif
