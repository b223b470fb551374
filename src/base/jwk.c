#include "base/jwk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/base64url.h"
#include "base/err.h"
#include "base/json.h"

enum { FILE_MAX = 64 * 1024, KEYS_MAX = 100 };

static int __attribute__((format(printf, 2, 3))) fail(char ret_error[JWK_ERROR_BYTES], const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(ret_error, JWK_ERROR_BYTES, fmt, args);
        va_end(args);
        return ERR_CONFIG;
}

static void wipe(struct buf *b)
{
        if (b->data)
                OPENSSL_cleanse(b->data, b->cap);
        buf_deinit(b);
}

/* The members of RFC 7638 section 3.2, in their order. */
static void put_thumbprint(struct jwk *key)
{
        unsigned char hash[EVP_MAX_MD_SIZE];
        unsigned hash_len = 0;
        struct buf text = {0};
        struct buf kid = {0};

        buf_reserve(&text, 128);
        buf_put(&text, "{\"k\":\"", 6);
        base64url_put(&text, key->bytes, sizeof(key->bytes));
        buf_put(&text, "\",\"kty\":\"oct\"}", 14);
        if (EVP_Digest(text.data, text.len, hash, &hash_len, EVP_sha256(), NULL) != 1)
                abort();
        base64url_put(&kid, hash, hash_len);
        snprintf(key->kid, sizeof(key->kid), "%.*s", (int)kid.len, kid.data);
        wipe(&text);
        buf_deinit(&kid);
}

/* --- a key --- */

static bool read_bytes(struct json_value value, struct jwk *ret)
{
        struct buf bytes = {0};
        bool good;

        buf_reserve(&bytes, 2 * JWK_KEY_BYTES);
        good = value.type == JSON_STRING && !value.escaped && value.raw.len <= 2 * JWK_KEY_BYTES &&
               base64url_read(&bytes, value.raw) && bytes.len == JWK_KEY_BYTES;
        if (good)
                memcpy(ret->bytes, bytes.data, JWK_KEY_BYTES);
        wipe(&bytes);
        return good;
}

bool jwk_read_kid(struct json_value value, char ret[JWK_KID_BYTES])
{
        char text[6 * JWK_KID_BYTES];
        size_t len;

        if (value.type != JSON_STRING || value.trouble || value.raw.len > sizeof(text))
                return false;
        len = json_string_decode((struct json_string){value.raw, value.escaped}, text);
        if (len == 0 || len >= JWK_KID_BYTES)
                return false;
        memcpy(ret, text, len);
        ret[len] = '\0';
        return true;
}

/* NULL, or what is wrong with it. */
static const char *read_key(struct slice text, struct json_scratch *scratch, struct jwk *ret)
{
        struct json_reader reader;
        struct json_string name;
        struct json_value value;
        bool is_oct = false;
        bool has_bytes = false;

        json_reader_init(&reader, text, scratch);
        if (!json_object_open(&reader))
                return "a key must be a JSON object";
        for (bool first = true; json_object_next(&reader, first, &name); first = false) {
                if (!json_read(&reader, &value))
                        return "it is not valid JSON";
                if (slice_eq(name.raw, SLICE_LIT("kty")))
                        is_oct = slice_eq(value.raw, SLICE_LIT("oct"));
                else if (slice_eq(name.raw, SLICE_LIT("k")))
                        has_bytes = read_bytes(value, ret);
                else if (slice_eq(name.raw, SLICE_LIT("kid")) && !jwk_read_kid(value, ret->kid))
                        return "a kid must be a string of 1 to 128 bytes";
        }
        if (!json_finish(&reader))
                return "it is not valid JSON";
        if (!is_oct || !has_bytes)
                return "each key must be symmetric (\"kty\":\"oct\") and have 256 bits";
        if (!ret->kid[0])
                put_thumbprint(ret);
        return NULL;
}

/* --- a set --- */

/* Writes the key directly into the set's array, so that no copy of it remains elsewhere. */
static const char *add_key(struct jwk_set *s, struct slice text, struct json_scratch *scratch)
{
        struct jwk *key = &s->items[s->len];
        const char *why;

        if (s->len == KEYS_MAX)
                return "it has more than 100 keys";
        s->len++; /* to be wiped */
        why = read_key(text, scratch, key);
        for (size_t i = 0; !why && i + 1 < s->len; i++) {
                if (strcmp(s->items[i].kid, key->kid) == 0)
                        why = "two keys have the same kid";
        }
        return why;
}

/* The elements of the array @text, one after the other. */
static const char *add_keys(struct jwk_set *s, struct slice text, struct json_scratch *scratch)
{
        struct slice rest = {text.ptr + 1, text.len - 2};
        const char *why = NULL;

        while (rest.len > 0 && !why) {
                struct json_scratch own = {0};
                struct json_reader reader;
                struct json_value value;

                json_reader_init(&reader, rest, &own);
                if (!json_read(&reader, &value)) {
                        why = "its keys must be JSON objects";
                } else {
                        why = add_key(s, value.raw, scratch);
                        rest.len -= (size_t)(reader.p - rest.ptr);
                        rest.ptr = reader.p;
                        while (rest.len > 0 &&
                               strchr(" \t\r\n,", rest.ptr[0])) { /* the array was read before: it is valid */
                                rest.ptr++;
                                rest.len--;
                        }
                }
                json_scratch_deinit(&own);
        }
        return why;
}

static const char *read_json(struct jwk_set *s, struct slice text, struct json_scratch *scratch)
{
        struct json_reader reader;
        struct json_string name;
        struct json_value value;
        struct slice keys = {NULL, 0};

        json_reader_init(&reader, text, scratch);
        if (!json_object_open(&reader))
                return "it must be a JSON Web Key, a set of them, or 32 bytes";
        for (bool first = true; json_object_next(&reader, first, &name); first = false) {
                if (!json_read(&reader, &value))
                        return "it is not valid JSON";
                if (slice_eq(name.raw, SLICE_LIT("keys")) && value.type == JSON_ARRAY)
                        keys = value.raw;
        }
        if (!json_finish(&reader))
                return "it is not valid JSON";
        return keys.ptr ? add_keys(s, keys, scratch) : add_key(s, text, scratch);
}

static const char *read_text(struct jwk_set *s, struct slice text)
{
        struct json_scratch scratch = {0};
        const char *why = NULL;

        if (text.len == JWK_KEY_BYTES) {
                memcpy(s->items[s->len].bytes, text.ptr, JWK_KEY_BYTES);
                put_thumbprint(&s->items[s->len++]);
        } else {
                why = read_json(s, text, &scratch);
        }
        if (scratch.text.data)
                OPENSSL_cleanse(scratch.text.data, scratch.text.cap);
        json_scratch_deinit(&scratch);
        return why ? why : s->len == 0 ? "it has no key" : NULL;
}

int jwk_set_load(struct jwk_set *s, const char *path, char ret_error[JWK_ERROR_BYTES])
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct buf file = {0};
        const char *why;
        ssize_t n = 1;

        *s = (struct jwk_set){0};
        if (fd < 0)
                return fail(ret_error, "credentials.key_file %.200s: %s", path, strerror(errno));
        s->items = calloc(KEYS_MAX, sizeof(*s->items));
        if (!s->items)
                abort();
        buf_reserve(&file, FILE_MAX + 1);
        while (n > 0 && file.len <= FILE_MAX) {
                n = read(fd, file.data + file.len, FILE_MAX + 1 - file.len);
                file.len += n > 0 ? (size_t)n : 0;
        }
        why = n < 0                 ? strerror(errno)
              : file.len > FILE_MAX ? "it is longer than 64 KiB"
                                    : read_text(s, (struct slice){file.data, file.len});
        close(fd);
        wipe(&file);
        return why ? fail(ret_error, "credentials.key_file %.200s: %s", path, why) : 0;
}

void jwk_set_deinit(struct jwk_set *s)
{
        if (s->items)
                OPENSSL_cleanse(s->items, KEYS_MAX * sizeof(*s->items));
        free(s->items);
        *s = (struct jwk_set){0};
}

const struct jwk *jwk_set_find(const struct jwk_set *s, const char *kid)
{
        for (size_t i = 0; i < s->len; i++) {
                if (strcmp(s->items[i].kid, kid) == 0)
                        return &s->items[i];
        }
        return NULL;
}
