#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

#include "base/slice.h"

/* Length of the well-formed UTF-8 sequence at @p (Unicode 15, table 3-7) that begins with a byte above 0x7f;
 * 0 if it is malformed. @p must be before @end. */
size_t utf8_sequence(const char *p, const char *end);

/* Copies @text (valid UTF-8) to @out with a NUL. Text longer than @size bytes is cut between characters and
 * ends in "...". Returns @out. */
const char *utf8_excerpt(struct slice text, char *out, size_t size);

#endif
