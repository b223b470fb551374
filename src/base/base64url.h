#ifndef BASE64URL_H
#define BASE64URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* RFC 4648 section 5, without padding, as RFC 7515 has it. */

void base64url_put(struct buf *out, const void *data, size_t len);

/* Decodes @text and appends the bytes. Returns false if it is not base64url, or not the canonical encoding of its bytes. */
bool base64url_read(struct buf *out, struct slice text);

#endif
