#ifndef JSON_PUT_H
#define JSON_PUT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends @text as a quoted JSON string. Replaces bytes that are not UTF-8 by U+FFFD, and then returns
 * false. */
bool json_put_string(struct buf *out, struct slice text);

#endif
