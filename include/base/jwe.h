#ifndef JWE_H
#define JWE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/jwk.h"
#include "base/slice.h"

/* Encrypted credentials: a flattened JWE (RFC 7516 section 7.2.2) by "dir" and "A256GCM", with the key's name in the
 * protected header and additional authenticated data, which bind it to its row. */

/* SQL: true if the JSON object in @column is a JWE, by the same rule as the TypeScript client's isEncrypted. */
#define JWE_IS_ENCRYPTED_SQL(column)                                                                         \
        "(jsonb_typeof(" column " -> 'protected') = 'string' AND jsonb_typeof(" column                       \
        " -> 'ciphertext') = 'string' AND jsonb_typeof(" column " -> 'tag') = 'string')"

/* Appends the JWE as JSON. */
void jwe_encrypt(const struct jwk *key, const char *aad, struct slice plain, struct buf *out);

/* Whether @json is a JWE. False for other JSON objects, and for text that is not a JSON object. */
bool jwe_is(struct slice json);

/* Reads the key's name (kid) from a protected header; returns false if there is none. */
bool jwe_kid(struct slice protected_header, char ret[JWK_KID_BYTES]);

/* Decrypts @json, which was encrypted for @aad, and appends the result to @out. Returns NULL; or, with nothing appended, a
 * fixed text that says what is wrong and quotes nothing of the JWE. @ret_kid: the name of its key, "" if it was not read. */
const char *jwe_decrypt(const struct jwk_set *keys, const char *aad, struct slice json, struct buf *out,
                        char ret_kid[JWK_KID_BYTES]);

#endif
