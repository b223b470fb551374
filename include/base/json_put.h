#ifndef JSON_PUT_H
#define JSON_PUT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends @text as a JSON string, between quotes. Bytes that are no UTF-8 become U+FFFD: then it returns false. */
bool json_put_string(struct buf *out, struct slice text);

#endif
