#ifndef RFC3339_H
#define RFC3339_H

#include <stdint.h>

#include "base/slice.h"

enum rfc3339_result {
        RFC3339_OK,
        RFC3339_SYNTAX,    /* not YYYY-MM-DDThh:mm:ss[.ffffff](Z|+hh:mm|-hh:mm) */
        RFC3339_PRECISION, /* finer than a microsecond */
        RFC3339_RANGE,     /* a date or time that does not exist, a leap second, an offset of 16 h or more */
};

/* Parses an RFC 3339 section 5.6 date-time, year 0001 to 9999, to microseconds since the Unix epoch. Offsets
 * must be under 16 hours, PostgreSQL's limit; leap seconds are refused, since timestamptz would store
 * another moment. Sets *ret only on RFC3339_OK. */
enum rfc3339_result rfc3339_parse(struct slice text, int64_t *ret);

enum { RFC3339_TEXT_BYTES = 32 };

/* Writes YYYY-MM-DDThh:mm:ss.ffffffZ and a NUL. */
void rfc3339_format(int64_t unix_us, char ret_text[RFC3339_TEXT_BYTES]);

#endif
