#ifndef JWK_H
#define JWK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"

/* Symmetric keys of 256 bits: a JSON Web Key (RFC 7517, "oct"), a set of them, or their 32 bytes. */

enum { JWK_KEY_BYTES = 32, JWK_KID_BYTES = 129, JWK_ERROR_BYTES = 512 };

struct jwk {
        char kid[JWK_KID_BYTES]; /* where the file has none, the thumbprint of RFC 7638 */
        unsigned char bytes[JWK_KEY_BYTES];
};

struct jwk_set {
        struct jwk *items; /* the first one encrypts, all decrypt */
        size_t len;
};

/* Reads the file. 0, or ERR_CONFIG with one line in @ret_error, in which nothing of the file's content is. To be
 * deinitialised in either case. */
int jwk_set_load(struct jwk_set *s, const char *path, char ret_error[JWK_ERROR_BYTES]);

/* Writes the id of a key, a JSON string of 1 to 128 bytes. Returns false, and writes nothing, if it is not. */
bool jwk_read_kid(struct json_value value, char ret[JWK_KID_BYTES]);

/* Wipes the keys. */
void jwk_set_deinit(struct jwk_set *s);

/* Returns NULL if no key has this id. */
const struct jwk *jwk_set_find(const struct jwk_set *s, const char *kid);

#endif
