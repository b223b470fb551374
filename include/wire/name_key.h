#ifndef NAME_KEY_H
#define NAME_KEY_H

#include <stddef.h>

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

/* A byte that tells keys of several sorts in one table apart. */
void name_key_tag(struct name_key *k, unsigned char tag);

/* @connection is NULL where the record names none. */
void name_key_account(struct name_key *k, enum platform platform, const struct uuid *connection,
                      struct json_string external_id);

/* @id as fields_external_id gave it; escapes do not count. */
void name_key_id(struct name_key *k, struct json_string id);

#endif
