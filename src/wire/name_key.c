#include "wire/name_key.h"

#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

/* up to this length XXH3 multiplies all bytes with the secret (xxhash.h, midsize) */
enum { PIECE_BYTES = 240 };

static void put(struct name_key *k, const void *bytes, size_t len)
{
        memcpy(k->bytes + k->len, bytes, len);
        k->len += len;
}

void name_key_tag(struct name_key *k, unsigned char tag)
{
        k->bytes[k->len++] = (char)tag;
}

void name_key_account(struct name_key *k, enum platform platform, const struct uuid *connection,
                      struct json_string external_id)
{
        k->bytes[k->len++] = (char)platform;
        k->bytes[k->len++] = connection != NULL;
        if (connection)
                put(k, connection->bytes, sizeof(connection->bytes));
        name_key_id(k, external_id);
}

void name_key_id(struct name_key *k, struct json_string id)
{
        char text[EXTERNAL_ID_MAX + 1];
        struct slice bytes = id.raw;

        if (id.escaped)
                bytes = (struct slice){text, external_id_decode(id, text)};
        k->bytes[k->len++] = (char)bytes.len;
        put(k, bytes.ptr, bytes.len);
}

void name_key_secret_draw(struct name_key_secret *secret)
{
        if (getrandom(secret->bytes, sizeof(secret->bytes), 0) != sizeof(secret->bytes))
                abort(); /* getrandom(2) returns requests of up to 256 bytes whole */
}

static XXH128_hash_t hash(const void *bytes, size_t len, const struct name_key_secret *secret)
{
        return XXH3_128bits_withSecret(bytes, len, secret->bytes, sizeof(secret->bytes));
}

/* Hashes the rest of a long name, after a piece whose hash is @first. */
static XXH128_hash_t hash_on(XXH128_hash_t first, const char *bytes, size_t len,
                             const struct name_key_secret *secret)
{
        XXH128_hash_t pair[2] = {first, {0, 0}};

        for (size_t done = 0; done < len; done += PIECE_BYTES) {
                pair[1] = hash(bytes + done, len - done < PIECE_BYTES ? len - done : PIECE_BYTES, secret);
                pair[0] = hash(pair, sizeof(pair), secret);
        }
        return pair[0];
}

XXH128_hash_t name_key_hash(const struct name_key *k, const struct name_key_secret *secret)
{
        if (k->len <= PIECE_BYTES)
                return hash(k->bytes, k->len, secret);
        return hash_on(hash(k->bytes, PIECE_BYTES, secret), k->bytes + PIECE_BYTES, k->len - PIECE_BYTES,
                       secret);
}
