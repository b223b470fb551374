#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/* Length of the well-formed UTF-8 sequence at @p (Unicode 15, table 3-7) that begins with a byte above 0x7f,
 * 0 where there is none; @p is before @end. */
size_t utf8_sequence(const char *p, const char *end);

#endif
