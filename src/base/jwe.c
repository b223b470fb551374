/* OpenSSL's AEAD rather than a JOSE library: one algorithm without key wrapping is three calls, and what is secret stays in
 * buffers that can be wiped. */
#include "base/jwe.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/base64url.h"
#include "base/json.h"
#include "base/json_put.h"

enum { IV_BYTES = 12, TAG_BYTES = 16 };

static void put(struct buf *out, const char *text)
{
        buf_put(out, text, strlen(text));
}

/* --- encrypting --- */

static void put_header(struct buf *out, const char *kid)
{
        struct buf header = {0};

        put(&header, "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":");
        json_put_string(&header, slice_str(kid));
        put(&header, "}");
        base64url_put(out, header.data, header.len);
        buf_deinit(&header);
}

/* RFC 7516 section 5.1, step 14: BASE64URL(protected) '.' BASE64URL(aad). */
static void put_authenticated(struct buf *out, struct slice protected_header, struct slice aad)
{
        buf_put(out, protected_header.ptr, protected_header.len);
        put(out, ".");
        buf_put(out, aad.ptr, aad.len);
}

static void put_member(struct buf *out, const char *name, struct slice value)
{
        put(out, out->len > 0 && out->data[out->len - 1] != '{' ? ",\"" : "\"");
        put(out, name);
        put(out, "\":\"");
        buf_put(out, value.ptr, value.len);
        put(out, "\"");
}

static void put_bytes(struct buf *out, const char *name, const void *bytes, size_t len)
{
        struct buf text = {0};

        base64url_put(&text, bytes, len);
        put_member(out, name, (struct slice){text.data, text.len});
        buf_deinit(&text);
}

void jwe_encrypt(const struct jwk *key, const char *aad, struct slice plain, struct buf *out)
{
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        unsigned char *ciphertext = malloc(plain.len + 1);
        unsigned char iv[IV_BYTES];
        unsigned char tag[TAG_BYTES];
        struct buf header = {0};
        struct buf bound = {0};
        struct buf authenticated = {0};
        int len = 0;
        int rest = 0;

        put_header(&header, key->kid);
        base64url_put(&bound, aad, strlen(aad));
        put_authenticated(&authenticated, (struct slice){header.data, header.len},
                          (struct slice){bound.data, bound.len});
        if (!ctx || !ciphertext || RAND_bytes(iv, sizeof(iv)) != 1 ||
            EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, iv) != 1 ||
            EVP_EncryptUpdate(ctx, NULL, &len, (unsigned char *)authenticated.data, (int)authenticated.len) !=
                    1 ||
            EVP_EncryptUpdate(ctx, ciphertext, &len, (const unsigned char *)plain.ptr, (int)plain.len) != 1 ||
            EVP_EncryptFinal_ex(ctx, ciphertext + len, &rest) != 1 ||
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) != 1)
                abort(); /* no memory, or no random bytes */
        put(out, "{");
        put_member(out, "protected", (struct slice){header.data, header.len});
        put_bytes(out, "iv", iv, sizeof(iv));
        put_bytes(out, "ciphertext", ciphertext, (size_t)len + (size_t)rest);
        put_bytes(out, "tag", tag, sizeof(tag));
        put_member(out, "aad", (struct slice){bound.data, bound.len});
        put(out, "}");
        EVP_CIPHER_CTX_free(ctx);
        free(ciphertext);
        buf_deinit(&header);
        buf_deinit(&bound);
        buf_deinit(&authenticated);
}

/* --- reading --- */

/* As they are sent: base64url. */
struct parts {
        struct slice header;
        struct slice iv;
        struct slice ciphertext;
        struct slice tag;
        struct slice aad;
        bool other; /* any other member, which might change what the JWE means */
};

/* Returns false if the text is not a JSON object. */
static bool read_parts(struct slice json, struct parts *ret)
{
        struct json_scratch scratch = {0};
        struct json_reader reader;
        struct json_string name;
        struct json_value value;
        bool good;

        *ret = (struct parts){0};
        json_reader_init(&reader, json, &scratch);
        good = json_object_open(&reader);
        for (bool first = true; good && json_object_next(&reader, first, &name); first = false) {
                struct slice *part = slice_eq(name.raw, SLICE_LIT("protected"))    ? &ret->header
                                     : slice_eq(name.raw, SLICE_LIT("iv"))         ? &ret->iv
                                     : slice_eq(name.raw, SLICE_LIT("ciphertext")) ? &ret->ciphertext
                                     : slice_eq(name.raw, SLICE_LIT("tag"))        ? &ret->tag
                                     : slice_eq(name.raw, SLICE_LIT("aad"))        ? &ret->aad
                                                                                   : NULL;

                good = json_read(&reader, &value);
                if (good && part && value.type == JSON_STRING && !value.escaped && !part->ptr)
                        *part = value.raw;
                else
                        ret->other = true;
        }
        good = good && json_finish(&reader);
        if (scratch.text.data) /* of plain credentials */
                OPENSSL_cleanse(scratch.text.data, scratch.text.cap);
        json_scratch_deinit(&scratch);
        return good;
}

bool jwe_is(struct slice json)
{
        struct parts p;

        return read_parts(json, &p) && p.header.ptr && p.ciphertext.ptr && p.tag.ptr;
}

struct header {
        bool is_ours; /* "dir" and "A256GCM", and nothing that must be understood besides */
        char kid[JWK_KID_BYTES];
};

static void read_header_member(struct slice name, const struct json_value *value, bool *alg, bool *enc,
                               struct header *ret)
{
        if (slice_eq(name, SLICE_LIT("alg"))) {
                *alg = value->type == JSON_STRING && slice_eq(value->raw, SLICE_LIT("dir"));
        } else if (slice_eq(name, SLICE_LIT("enc"))) {
                *enc = value->type == JSON_STRING && slice_eq(value->raw, SLICE_LIT("A256GCM"));
        } else if (slice_eq(name, SLICE_LIT("crit")) || slice_eq(name, SLICE_LIT("zip"))) {
                ret->is_ours = false;
        } else if (slice_eq(name, SLICE_LIT("kid"))) {
                jwk_read_kid(*value, ret->kid);
        }
}

static bool read_header(struct slice text, struct header *ret)
{
        struct json_scratch scratch = {0};
        struct json_reader reader;
        struct json_string name;
        struct json_value value;
        struct buf json = {0};
        bool alg = false;
        bool enc = false;
        bool good = base64url_read(&json, text);

        *ret = (struct header){.is_ours = true};
        json_reader_init(&reader, (struct slice){json.data, json.len}, &scratch);
        good = good && json_object_open(&reader);
        for (bool first = true; good && json_object_next(&reader, first, &name); first = false) {
                good = json_read(&reader, &value);
                if (good)
                        read_header_member(name.raw, &value, &alg, &enc, ret);
        }
        good = good && json_finish(&reader);
        ret->is_ours &= alg && enc;
        json_scratch_deinit(&scratch);
        buf_deinit(&json);
        return good;
}

bool jwe_kid(struct slice protected_header, char ret[JWK_KID_BYTES])
{
        struct header h;
        bool good = read_header(protected_header, &h) && h.kid[0];

        memcpy(ret, h.kid, JWK_KID_BYTES);
        if (!good)
                ret[0] = '\0';
        return good;
}

/* --- decrypting --- */

static bool decrypt(const struct jwk *key, const struct parts *p, struct buf *iv, struct buf *tag,
                    const struct buf *ciphertext, struct buf *out)
{
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        unsigned char *plain = (unsigned char *)buf_reserve(out, ciphertext->len + 1);
        struct buf authenticated = {0};
        int len = 0;
        int rest = 0;
        bool good;

        if (!ctx)
                abort();
        put_authenticated(&authenticated, p->header, p->aad);
        good = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, (unsigned char *)iv->data) == 1 &&
               EVP_DecryptUpdate(ctx, NULL, &len, (unsigned char *)authenticated.data,
                                 (int)authenticated.len) == 1 &&
               EVP_DecryptUpdate(ctx, plain, &len, (unsigned char *)ciphertext->data, (int)ciphertext->len) ==
                       1 &&
               EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag->data) == 1 &&
               EVP_DecryptFinal_ex(ctx, plain + len, &rest) == 1;
        if (good)
                out->len += (size_t)len + (size_t)rest;
        else
                OPENSSL_cleanse(plain, ciphertext->len + 1); /* nobody may see what is not authentic */
        EVP_CIPHER_CTX_free(ctx);
        buf_deinit(&authenticated);
        return good;
}

/* NULL, or what is wrong. */
static const char *decrypt_parts(const struct jwk *key, const char *aad, const struct parts *p,
                                 struct buf *out)
{
        struct buf iv = {0};
        struct buf tag = {0};
        struct buf ciphertext = {0};
        struct buf bound = {0};
        const char *why = NULL;

        if (!base64url_read(&iv, p->iv) || iv.len != IV_BYTES || !base64url_read(&tag, p->tag) ||
            tag.len != TAG_BYTES || !base64url_read(&ciphertext, p->ciphertext) ||
            !base64url_read(&bound, p->aad))
                why = "the JWE is damaged";
        else if (bound.len != strlen(aad) || memcmp(bound.data, aad, bound.len) != 0)
                why = "the credentials belong to another connection";
        else if (!decrypt(key, p, &iv, &tag, &ciphertext, out))
                why = "the credentials were altered, or encrypted with another key of the same kid";
        buf_deinit(&iv);
        buf_deinit(&tag);
        buf_deinit(&ciphertext);
        buf_deinit(&bound);
        return why;
}

const char *jwe_decrypt(const struct jwk_set *keys, const char *aad, struct slice json, struct buf *out,
                        char ret_kid[JWK_KID_BYTES])
{
        const struct jwk *key;
        struct parts p;
        struct header h;

        ret_kid[0] = '\0';
        if (!read_parts(json, &p) || !p.header.ptr || !p.iv.ptr || !p.ciphertext.ptr || !p.tag.ptr ||
            !p.aad.ptr || p.other)
                return "the JWE lacks a part, or has one too many";
        if (!read_header(p.header, &h))
                return "the JWE's header is damaged";
        memcpy(ret_kid, h.kid, sizeof(h.kid));
        if (!h.is_ours)
                return "the JWE is not by dir and A256GCM";
        key = jwk_set_find(keys, h.kid);
        return key ? decrypt_parts(key, aad, &p, out) : "credentials.key_file has no key of its kid";
}
