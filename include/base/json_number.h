#ifndef JSON_NUMBER_H
#define JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/slice.h"

/* A JSON number as it was sent: no digit of it is lost or made up. Borrows its text. */
struct json_number {
        struct slice text;
        bool negative;
        const char *int_digits; /* from the first one on */
        size_t int_len;
        const char *frac_digits; /* behind the point */
        size_t frac_len;
        bool has_exponent;
        int64_t exponent;
};

/* Reads the number at *p, which is a minus or a digit. True: *p is behind it. False, with *p where reading
 * ended and what is wrong in *ret_error, a fixed text: it is no number by RFC 8259. */
bool json_number_read(const char **p, const char *end, struct json_number *ret, const char **ret_error);

/* The same for what most numbers are, up to 15 digits and nothing else, as a value. Returns what is behind
 * it, or NULL where it is something else, -0 and what is no number included: to be read by json_number_read.
 */
const char *json_number_read_short(const char *p, const char *end, int64_t *ret);

/* Whether PostgreSQL's numeric, and so jsonb, holds it. */
bool json_number_fits_numeric(const struct json_number *n);

/* The length of the text that numeric prints: without an exponent, but with all zeros that it stands for. The
 * number must fit. */
size_t json_number_text_len(const struct json_number *n);

/* Numbers that numeric takes for one, digits behind the point included, hash alike, however they were sent:
 * -0 as 0, 1e2 as 100, 0.10e1 as 1.0; and all others as their text. @scratch is overwritten. */
XXH128_hash_t json_number_hash(const struct json_number *n, uint64_t seed, struct buf *scratch);

enum json_integer {
        JSON_INTEGER_OK,
        JSON_INTEGER_FRACTION,
        JSON_INTEGER_RANGE, /* outside of +-(2^53-1) */
};

/* Its exact integral value; *ret is set where that is OK. */
enum json_integer json_number_integer(const struct json_number *n, int64_t *ret);

#endif
