#ifndef SECRETS_H
#define SECRETS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/jwe.h"
#include "base/uuid.h"
#include "model/platform_connection.h"

/* What the commands share that handle credentials. */

/* The process leaves no core file from now on, and no other process of its user may look into it. */
void secrets_hide(void);

/* Reads the keys of credentials.key_file; none if that setting is empty. Returns 0, or FAILED after reporting the error. The
 * caller deinitialises @ret in either case. */
int secrets_load_keys(const struct config *config, struct jwk_set *ret);

/* Reads a JSON object of credentials from @file, or from standard input if that is NULL or "-". Returns 0, or FAILED after reporting
 * the error. The caller wipes the result in either case. */
int secrets_read(const char *file, struct buf *out);

/* Appends the stored form of @plain for connection @id: encrypted if there is a key. */
void secrets_put(const struct jwk_set *keys, const struct uuid *id, struct slice plain, struct buf *out);

void secrets_wipe(struct buf *b);

/* How credentials are kept, for people: "plain", "encrypted with key 1", "encrypted with the old key 1" ... */
enum secrets_keeping { SECRETS_PLAIN, SECRETS_CURRENT, SECRETS_OLD, SECRETS_FOREIGN };

enum secrets_keeping secrets_keeping(const struct jwk_set *keys,
                                     const struct platform_connection_keeping *row,
                                     char ret_kid[JWK_KID_BYTES]);

#endif
