#ifndef JWE_H
#define JWE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/jwk.h"
#include "base/slice.h"

/* Encrypted credentials: a flattened JWE (RFC 7516 section 7.2.2) by "dir" and "A256GCM", with the key's name in the
 * protected header and additional authenticated data, which bind it to its row. */

/* Whether a JSON object of these members is one: the same question as the TypeScript client's isEncrypted. */
#define JWE_IS_ENCRYPTED_SQL(column)                                                                         \
        "(jsonb_typeof(" column " -> 'protected') = 'string' AND jsonb_typeof(" column                       \
        " -> 'ciphertext') = 'string' AND jsonb_typeof(" column " -> 'tag') = 'string')"

/* Appends the JWE as JSON. */
void jwe_encrypt(const struct jwk *key, const char *aad, struct slice plain, struct buf *out);

/* Whether @json is a JWE. False for other JSON objects, and for text that is not a JSON object. */
bool jwe_is(struct slice json);

/* The name of the key in a protected header; false where it has none. */
bool jwe_kid(struct slice protected_header, char ret[JWK_KID_BYTES]);

/* Appends what was encrypted for @aad. NULL, or what is wrong: a fixed text, without anything of the JWE; then nothing is
 * appended. @ret_kid: the name of its key, as far as it was read. */
const char *jwe_decrypt(const struct jwk_set *keys, const char *aad, struct slice json, struct buf *out,
                        char ret_kid[JWK_KID_BYTES]);

#endif
