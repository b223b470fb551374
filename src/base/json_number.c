#include "base/json_number.h"

#include <inttypes.h>
#include <stdio.h>

/* Limits of numeric (PostgreSQL, src/backend/utils/adt/numeric.c, make_result): digits before and after the
 * decimal point. */
enum {
        NUMERIC_MAX_INT_DIGITS = 131072,
        NUMERIC_MAX_FRAC_DIGITS = 16383,
};

/* A larger exponent is out of numeric's range for any digits that a line can hold. */
enum { EXPONENT_CAP = 1000000000 };

enum { SHORT_DIGITS = 15 }; /* any such value is below 2^53 */

/* --- reading --- */

static size_t skip_digits(const char **p, const char *end)
{
        const char *start = *p;

        while (*p < end && **p >= '0' && **p <= '9')
                (*p)++;
        return (size_t)(*p - start);
}

static int64_t read_exponent(const char *p, const char *end)
{
        bool negative = false;
        int64_t value = 0;

        if (*p == '+' || *p == '-')
                negative = *p++ == '-';
        for (; p < end && value < EXPONENT_CAP; p++)
                value = value * 10 + (*p - '0');
        return negative ? -value : value;
}

static bool fail(const char **ret_error, const char *error)
{
        *ret_error = error;
        return false;
}

bool json_number_read(const char **p, const char *end, struct json_number *ret, const char **ret_error)
{
        *ret = (struct json_number){.text.ptr = *p, .negative = **p == '-'};
        *p += ret->negative;
        ret->int_digits = *p;
        ret->int_len = skip_digits(p, end);
        if (ret->int_len == 0)
                return fail(ret_error, "a number has no digits");
        if (ret->int_len > 1 && *ret->int_digits == '0')
                return fail(ret_error, "a number has leading zeros");
        if (*p < end && **p == '.') {
                ret->frac_digits = ++*p;
                ret->frac_len = skip_digits(p, end);
                if (ret->frac_len == 0)
                        return fail(ret_error, "a number has no digits after its decimal point");
        }
        if (*p < end && (**p == 'e' || **p == 'E')) {
                const char *start = ++*p;

                if (*p < end && (**p == '+' || **p == '-'))
                        ++*p;
                if (skip_digits(p, end) == 0)
                        return fail(ret_error, "a number has no digits in its exponent");
                ret->has_exponent = true;
                ret->exponent = read_exponent(start, *p);
        }
        ret->text.len = (size_t)(*p - ret->text.ptr);
        return true;
}

const char *json_number_read_short(const char *p, const char *end, int64_t *ret)
{
        bool negative = p < end && *p == '-';
        const char *digits = p + negative;
        int64_t value = 0;

        for (p = digits; p < end && p - digits <= SHORT_DIGITS && *p >= '0' && *p <= '9'; p++)
                value = value * 10 + (*p - '0');
        if (p == digits || p - digits > SHORT_DIGITS || (*digits == '0' && (negative || p - digits > 1)) ||
            (p < end && (*p == '.' || *p == 'e' || *p == 'E')))
                return NULL;
        *ret = negative ? -value : value;
        return p;
}

/* --- digits --- */

static size_t digits_len(const struct json_number *n)
{
        return n->int_len + n->frac_len;
}

static char digit_at(const struct json_number *n, size_t i)
{
        return i < n->int_len ? n->int_digits[i] : n->frac_digits[i - n->int_len];
}

/* Index of the first digit that is not 0; digits_len() if all are 0. */
static size_t leading_zeros(const struct json_number *n)
{
        size_t i = 0;

        while (i < digits_len(n) && digit_at(n, i) == '0')
                i++;
        return i;
}

/* Number of digits up to the last one that is not 0. @zeros: number of leading zeros. */
static size_t without_trailing_zeros(const struct json_number *n, size_t zeros)
{
        size_t end = digits_len(n);

        while (end > zeros && digit_at(n, end - 1) == '0')
                end--;
        return end;
}

bool json_number_fits_numeric(const struct json_number *n)
{
        int64_t frac_left = (int64_t)n->frac_len - n->exponent;
        /* digits before the point, counted from the first digit that is not 0 */
        int64_t lead = (int64_t)n->int_len;

        if (frac_left > NUMERIC_MAX_FRAC_DIGITS)
                return false;
        /* numeric_in refuses such exponents for any value, zero included */
        if (n->exponent >= INT32_MAX / 2 || n->exponent <= -(INT32_MAX / 2))
                return false;
        if (*n->int_digits == '0') { /* JSON allows no other leading zero */
                size_t zeros = leading_zeros(n);

                if (zeros == digits_len(n))
                        return true;
                lead = 1 - (int64_t)zeros;
        }
        return lead + n->exponent <= NUMERIC_MAX_INT_DIGITS;
}

/* --- as numeric prints it --- */

/* The output of a number: the decimal point comes after @point of its digits; the digits from @first to
 * before @point + @scale are printed. */
struct printed {
        bool negative;
        int64_t first;
        int64_t point;
        int64_t scale;
        int64_t len; /* of the text, in bytes */
};

/* @zeros: leading_zeros(), or 0 if one digit precedes the point. */
static struct printed print(const struct json_number *n, size_t zeros)
{
        bool zero = zeros == digits_len(n);
        struct printed p = {
                .negative = n->negative && !zero,
                .point = (int64_t)n->int_len + n->exponent,
                .scale = (int64_t)n->frac_len > n->exponent ? (int64_t)n->frac_len - n->exponent : 0,
        };

        p.first = !zero && p.point > (int64_t)zeros ? (int64_t)zeros : p.point - 1;
        p.len = p.negative + (p.point - p.first) + (p.scale ? p.scale + 1 : 0);
        return p;
}

size_t json_number_text_len(const struct json_number *n)
{
        return (size_t)print(n, leading_zeros(n)).len;
}

/* --- hashing --- */

/* Hashes numeric's output. If that is long (1e131071 is sent short), hashes instead the digits without zeros
 * at both ends, and their position. */
XXH128_hash_t json_number_hash(const struct json_number *n, uint64_t seed, struct buf *scratch)
{
        enum { TEXT_MAX = 400 };
        char text[TEXT_MAX];
        size_t zeros = n->negative || n->has_exponent || n->text.len > TEXT_MAX ? leading_zeros(n) : 0;
        struct printed t = print(n, zeros);
        char *p = text;

        if (!n->has_exponent && t.negative == n->negative && n->text.len <= TEXT_MAX)
                return XXH3_128bits_withSeed(n->text.ptr, n->text.len, seed);
        if (t.len > TEXT_MAX) {
                size_t end = without_trailing_zeros(n, zeros);

                scratch->len = 0;
                p = buf_reserve(scratch, end - zeros + TEXT_MAX);
                p += snprintf(p, TEXT_MAX, "%s%" PRId64 " %" PRId64 " ", t.negative ? "-" : "",
                              zeros == digits_len(n) ? 0 : t.point - (int64_t)zeros, t.scale);
                for (size_t i = zeros; i < end; i++)
                        *p++ = digit_at(n, i);
                return XXH3_128bits_withSeed(scratch->data, (size_t)(p - scratch->data), seed);
        }
        if (t.negative)
                *p++ = '-';
        for (int64_t i = t.first; i < t.point + t.scale; i++) {
                if (i == t.point)
                        *p++ = '.';
                *p++ = i >= 0 && i < (int64_t)digits_len(n) ? digit_at(n, (size_t)i) : '0';
        }
        return XXH3_128bits_withSeed(text, (size_t)(p - text), seed);
}

/* --- as an integer --- */

enum json_integer json_number_integer(const struct json_number *n, int64_t *ret)
{
        const int64_t max = (INT64_C(1) << 53) - 1;
        size_t zeros = leading_zeros(n);
        size_t end = without_trailing_zeros(n, zeros);
        int64_t power = (int64_t)n->int_len + n->exponent - (int64_t)end; /* of 10, for the last digit */
        int64_t value = 0;

        if (end > zeros && power < 0)
                return JSON_INTEGER_FRACTION;
        for (size_t i = zeros; i < end && value <= max; i++)
                value = value * 10 + (digit_at(n, i) - '0');
        for (; value > 0 && value <= max && power > 0; power--)
                value *= 10;
        if (value > max)
                return JSON_INTEGER_RANGE;
        *ret = n->negative ? -value : value;
        return JSON_INTEGER_OK;
}
