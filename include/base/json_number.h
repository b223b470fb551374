#ifndef JSON_NUMBER_H
#define JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/slice.h"

/* A JSON number exactly as sent. Points into its text. */
struct json_number {
        struct slice text;
        bool negative;
        const char *int_digits; /* starts at the first digit */
        size_t int_len;
        const char *frac_digits; /* after the decimal point */
        size_t frac_len;
        bool has_exponent;
        int64_t exponent;
};

/* Reads the number at *p, which is a minus or a digit. Returns true and moves *p past it. If it is not a
 * number by RFC 8259, returns false with *p where reading stopped and a static text in *ret_error. */
bool json_number_read(const char **p, const char *end, struct json_number *ret, const char **ret_error);

/* Fast path for integers of at most 15 digits: returns the position after the number and its value. Returns
 * NULL for anything else, -0 and malformed numbers included: use json_number_read for these. */
const char *json_number_read_short(const char *p, const char *end, int64_t *ret);

/* True if PostgreSQL's numeric, and so jsonb, can hold @n. */
bool json_number_fits_numeric(const struct json_number *n);

/* Length in bytes of numeric's output: no exponent, but all zeros written out. @n must fit numeric. */
size_t json_number_text_len(const struct json_number *n);

/* Hash under which numbers that numeric outputs alike, with the same digits after the point, are alike
 * however they were sent: -0 as 0, 1e2 as 100, 0.10e1 as 1.0. A number that does not fit numeric hashes as
 * its text. Overwrites @scratch. */
XXH128_hash_t json_number_hash(const struct json_number *n, uint64_t seed, struct buf *scratch);

enum json_integer {
        JSON_INTEGER_OK,
        JSON_INTEGER_FRACTION,
        JSON_INTEGER_RANGE, /* outside of +-(2^53-1) */
};

/* Returns whether @n is an integer in range; sets *ret to its exact value on JSON_INTEGER_OK. */
enum json_integer json_number_integer(const struct json_number *n, int64_t *ret);

#endif
