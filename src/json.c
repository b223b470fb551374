#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "hex.h"
#include "utf8.h"

/* Numbers that jsonb can hold, as numeric does (PostgreSQL, src/backend/utils/adt/numeric.c, make_result):
 * the decimal point has at most this many digits before and after it. */
enum {
        NUMERIC_MAX_INT_DIGITS = 131072,
        NUMERIC_MAX_FRAC_DIGITS = 16383,
};

enum { FEW_KEYS = 12 };

static bool fail(struct json_reader *r, const char *error)
{
        if (!r->error)
                r->error = error;
        return false;
}

static void note_trouble(struct json_reader *r, enum json_trouble trouble)
{
        if (r->trouble == JSON_TROUBLE_NONE)
                r->trouble = trouble;
}

/* Grows *array so that @need elements of @size bytes fit. Running out of memory for a text of bounded length
 * is nothing that a daemon could work around. */
static void *grow(void *array, size_t *cap, size_t need, size_t size)
{
        size_t want = *cap ? *cap : 64;

        if (need <= *cap)
                return array;
        while (want < need)
                want *= 2;
        array = realloc(array, want * size);
        if (!array)
                abort();
        *cap = want;
        return array;
}

void json_scratch_deinit(struct json_scratch *scratch)
{
        free(scratch->keys);
        free(scratch->table);
        free(scratch->text);
        *scratch = (struct json_scratch){0};
}

void json_reader_init(struct json_reader *r, struct slice text, struct json_scratch *scratch)
{
        *r = (struct json_reader){
                .start = text.ptr, .p = text.ptr, .end = text.ptr + text.len, .scratch = scratch};
}

static void skip_space(struct json_reader *r)
{
        while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
                r->p++;
}

static bool expect(struct json_reader *r, char c, const char *error)
{
        skip_space(r);
        if (r->p == r->end || *r->p != c)
                return fail(r, error);
        r->p++;
        return true;
}

/* --- strings --- */

/* The four hexadecimal digits at @p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
        int32_t value = 0;

        if (end - p < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                int digit = hex_digit(p[i]);

                if (digit < 0)
                        return -1;
                value = value << 4 | digit;
        }
        return value;
}

static bool is_high_surrogate(int32_t u)
{
        return u >= 0xd800 && u <= 0xdbff;
}

static bool is_low_surrogate(int32_t u)
{
        return u >= 0xdc00 && u <= 0xdfff;
}

/* r->p stands behind "\u". */
static bool read_unicode_escape(struct json_reader *r)
{
        int32_t u = hex4(r->p, r->end);

        if (u < 0)
                return fail(r, "\\u is not followed by four hexadecimal digits");
        r->p += 4;
        if (u == 0) {
                note_trouble(r, JSON_TROUBLE_NUL);
        } else if (is_low_surrogate(u)) {
                note_trouble(r, JSON_TROUBLE_SURROGATE);
        } else if (is_high_surrogate(u)) {
                if (r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' &&
                    is_low_surrogate(hex4(r->p + 2, r->end)))
                        r->p += 6;
                else
                        note_trouble(r, JSON_TROUBLE_SURROGATE);
        }
        return true;
}

/* r->p stands behind a backslash. */
static bool read_escape(struct json_reader *r)
{
        if (r->p == r->end)
                return fail(r, "the text ends inside a string");
        switch (*r->p++) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
                return true;
        case 'u':
                return read_unicode_escape(r);
        default:
                return fail(r, "a backslash in a string is followed by a character that it cannot escape");
        }
}

/* Moves over plain bytes, eight at a time: not a control character, quote, backslash or non-ASCII byte. */
static void skip_plain(struct json_reader *r)
{
        const uint64_t ones = 0x0101010101010101u;
        const uint64_t highs = 0x8080808080808080u;
        const char *p = r->p;

        while (r->end - p >= 8) {
                uint64_t w;
                uint64_t quote;
                uint64_t backslash;

                memcpy(&w, p, 8);
                quote = w ^ (ones * '"');
                backslash = w ^ (ones * '\\');
                if ((w | (w - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs)
                        break;
                p += 8;
        }
        while (p < r->end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
                p++;
        r->p = p;
}

/* r->p stands behind the opening quote; it ends behind the closing one. */
static bool read_string(struct json_reader *r, struct json_string *ret)
{
        const char *start = r->p;

        ret->escaped = false;
        for (;;) {
                skip_plain(r);
                if (r->p == r->end)
                        return fail(r, "the text ends inside a string");
                if (*r->p == '"') {
                        ret->raw = (struct slice){start, (size_t)(r->p - start)};
                        r->p++;
                        return true;
                }
                if (*r->p == '\\') {
                        ret->escaped = true;
                        r->p++;
                        if (!read_escape(r))
                                return false;
                } else if ((unsigned char)*r->p < 0x20) {
                        return fail(r, "a control character stands in a string unescaped");
                } else {
                        size_t n = utf8_sequence(r->p, r->end);

                        if (n == 0)
                                return fail(r, "the text is not valid UTF-8");
                        r->p += n;
                }
        }
}

static size_t put_utf8(char *out, int32_t u)
{
        if (u < 0x80) {
                out[0] = (char)u;
                return 1;
        }
        if (u < 0x800) {
                out[0] = (char)(0xc0 | u >> 6);
                out[1] = (char)(0x80 | (u & 0x3f));
                return 2;
        }
        if (u < 0x10000) {
                out[0] = (char)(0xe0 | u >> 12);
                out[1] = (char)(0x80 | (u >> 6 & 0x3f));
                out[2] = (char)(0x80 | (u & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | u >> 18);
        out[1] = (char)(0x80 | (u >> 12 & 0x3f));
        out[2] = (char)(0x80 | (u >> 6 & 0x3f));
        out[3] = (char)(0x80 | (u & 0x3f));
        return 4;
}

/* Decodes the \u escape at @p (behind "\u"); returns where the text goes on. */
static const char *decode_unicode(const char *p, const char *end, char *out, size_t *len)
{
        int32_t u = hex4(p, end);

        p += 4;
        if (is_high_surrogate(u) && end - p >= 6) {
                int32_t low = hex4(p + 2, end);

                if (is_low_surrogate(low)) {
                        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
                        p += 6;
                }
        }
        *len += put_utf8(out + *len, u);
        return p;
}

size_t json_string_decode(struct json_string s, char *out)
{
        const char *p = s.raw.ptr;
        const char *end = p + s.raw.len;
        size_t len = 0;

        if (!s.escaped) {
                if (s.raw.len)
                        memcpy(out, s.raw.ptr, s.raw.len);
                return s.raw.len;
        }
        while (p < end) {
                static const char from[] = "\"\\/bfnrt";
                static const char to[] = "\"\\/\b\f\n\r\t";

                if (*p != '\\') {
                        out[len++] = *p++;
                        continue;
                }
                p++;
                if (*p == 'u') {
                        p = decode_unicode(p + 1, end, out, &len);
                        continue;
                }
                out[len++] = to[strchr(from, *p) - from];
                p++;
        }
        return len;
}

static XXH128_hash_t hash_string(struct json_reader *r, struct json_string s, uint64_t seed)
{
        size_t len;

        if (!s.escaped)
                return XXH3_128bits_withSeed(s.raw.ptr, s.raw.len, seed);
        r->scratch->text = grow(r->scratch->text, &r->scratch->text_cap, s.raw.len, 1);
        len = json_string_decode(s, r->scratch->text);
        return XXH3_128bits_withSeed(r->scratch->text, len, seed);
}

/* --- numbers --- */

static size_t skip_digits(struct json_reader *r)
{
        const char *start = r->p;

        while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
                r->p++;
        return (size_t)(r->p - start);
}

/* Exponents beyond this end outside of numeric whatever the digits are, in a line of bounded length. */
enum { EXPONENT_CAP = 1000000000 };

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

/* A number as it was sent. */
struct number {
        bool negative;
        const char *int_digits; /* from the first one on */
        size_t int_len;
        const char *frac_digits; /* behind the point */
        size_t frac_len;
        bool has_exponent;
        int64_t exponent;
};

static size_t digits_len(const struct number *n)
{
        return n->int_len + n->frac_len;
}

static char digit_at(const struct number *n, size_t i)
{
        return i < n->int_len ? n->int_digits[i] : n->frac_digits[i - n->int_len];
}

/* The first digit that is not 0; digits_len() where all are. */
static size_t leading_zeros(const struct number *n)
{
        size_t i = 0;

        while (i < digits_len(n) && digit_at(n, i) == '0')
                i++;
        return i;
}

static bool numeric_holds(const struct number *n)
{
        int64_t frac_left = (int64_t)n->frac_len - n->exponent;
        int64_t lead = (int64_t)n->int_len; /* digits before the point, of the first digit that is not 0 */

        if (frac_left > NUMERIC_MAX_FRAC_DIGITS)
                return false;
        /* numeric_in refuses these of any value, zero included */
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

static bool read_number(struct json_reader *r, struct number *ret)
{
        *ret = (struct number){.negative = *r->p == '-'};
        r->p += ret->negative;
        ret->int_digits = r->p;
        ret->int_len = skip_digits(r);
        if (ret->int_len == 0)
                return fail(r, "a number has no digits");
        if (ret->int_len > 1 && *ret->int_digits == '0')
                return fail(r, "a number starts with a zero");
        if (r->p < r->end && *r->p == '.') {
                r->p++;
                ret->frac_digits = r->p;
                ret->frac_len = skip_digits(r);
                if (ret->frac_len == 0)
                        return fail(r, "a number has no digits behind its decimal point");
        }
        if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
                const char *start;

                r->p++;
                start = r->p;
                if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
                        r->p++;
                if (skip_digits(r) == 0)
                        return fail(r, "a number has no digits in its exponent");
                ret->has_exponent = true;
                ret->exponent = read_exponent(start, r->p);
        }
        if (!numeric_holds(ret))
                note_trouble(r, JSON_TROUBLE_NUMERIC);
        return true;
}

/* Numbers that numeric takes for one, digits behind the point included, hash alike, however they were sent:
 * -0 as 0, 1e2 as 100, 0.10e1 as 1.0. What is hashed is the text that numeric makes of it; where that is long
 * (1e131071 is short), its digits without zeros at the ends, and where they stand. */
static XXH128_hash_t hash_number(struct json_reader *r, const struct number *n, struct slice raw,
                                 uint64_t seed)
{
        enum { TEXT_MAX = 400 };
        char text[TEXT_MAX];
        size_t zeros = n->negative || n->has_exponent || raw.len > TEXT_MAX ? leading_zeros(n) : 0;
        bool zero = zeros == digits_len(n);
        int64_t scale = (int64_t)n->frac_len > n->exponent ? (int64_t)n->frac_len - n->exponent : 0;
        int64_t point = (int64_t)n->int_len + n->exponent; /* so many digits stand before it */
        int64_t first = !zero && point > (int64_t)zeros ? (int64_t)zeros : point - 1;
        bool negative = n->negative && !zero;
        int64_t len = negative + (point - first) + (scale ? scale + 1 : 0);
        char *p = text;

        if (!n->has_exponent && negative == n->negative && raw.len <= TEXT_MAX)
                return XXH3_128bits_withSeed(raw.ptr, raw.len, seed);
        if (len > TEXT_MAX) {
                size_t end = digits_len(n);

                while (end > zeros && digit_at(n, end - 1) == '0')
                        end--;
                r->scratch->text = grow(r->scratch->text, &r->scratch->text_cap, end - zeros + TEXT_MAX, 1);
                p = r->scratch->text + snprintf(r->scratch->text, TEXT_MAX, "%s%" PRId64 " %" PRId64 " ",
                                                negative ? "-" : "", zero ? 0 : point - (int64_t)zeros,
                                                scale);
                for (size_t i = zeros; i < end; i++)
                        *p++ = digit_at(n, i);
                return XXH3_128bits_withSeed(r->scratch->text, (size_t)(p - r->scratch->text), seed);
        }
        if (negative)
                *p++ = '-';
        for (int64_t i = first; i < point + scale; i++) {
                if (i == point)
                        *p++ = '.';
                *p++ = i >= 0 && i < (int64_t)digits_len(n) ? digit_at(n, (size_t)i) : '0';
        }
        return XXH3_128bits_withSeed(text, (size_t)(p - text), seed);
}

/* --- values --- */

static bool read_word(struct json_reader *r, const char *word, size_t len)
{
        if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
                return fail(r, "a value is no JSON value");
        r->p += len;
        return true;
}

bool json_peek(struct json_reader *r, enum json_type *ret)
{
        skip_space(r);
        if (r->p == r->end)
                return fail(r, "the text ends where a value should stand");
        switch (*r->p) {
        case '"':
                *ret = JSON_STRING;
                return true;
        case '{':
                *ret = JSON_OBJECT;
                return true;
        case '[':
                *ret = JSON_ARRAY;
                return true;
        case 't':
        case 'f':
                *ret = JSON_BOOL;
                return true;
        case 'n':
                *ret = JSON_NULL;
                return true;
        default:
                *ret = JSON_NUMBER;
                if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9'))
                        return true;
                return fail(r, "a value is no JSON value");
        }
}

bool json_object_open(struct json_reader *r)
{
        return expect(r, '{', "the text is not a JSON object");
}

bool json_object_next(struct json_reader *r, bool first, struct json_string *ret_key)
{
        skip_space(r);
        if (r->p < r->end && *r->p == '}') {
                r->p++;
                return false;
        }
        if (!first && !expect(r, ',', "a comma or a closing brace is missing"))
                return false;
        if (!expect(r, '"', "a key is missing or not in double quotes"))
                return false;
        if (!read_string(r, ret_key))
                return false;
        return expect(r, ':', "a colon is missing behind a key");
}

static bool has_duplicates_few(const XXH128_hash_t *keys, size_t n)
{
        for (size_t i = 1; i < n; i++) {
                for (size_t j = 0; j < i; j++) {
                        if (keys[i].low64 == keys[j].low64 && keys[i].high64 == keys[j].high64)
                                return true;
                }
        }
        return false;
}

static bool has_duplicates_many(struct json_scratch *scratch, const XXH128_hash_t *keys, size_t n)
{
        size_t size = 32;

        while (size < n * 2)
                size *= 2;
        scratch->table = grow(scratch->table, &scratch->table_cap, size, sizeof(*scratch->table));
        memset(scratch->table, 0, size * sizeof(*scratch->table));
        for (size_t i = 0; i < n; i++) {
                size_t slot = (size_t)keys[i].low64 & (size - 1);

                for (; scratch->table[slot]; slot = (slot + 1) & (size - 1)) {
                        const XXH128_hash_t *other = &keys[scratch->table[slot] - 1];

                        if (other->low64 == keys[i].low64 && other->high64 == keys[i].high64)
                                return true;
                }
                scratch->table[slot] = (uint32_t)(i + 1);
        }
        return false;
}

static bool has_duplicates(struct json_scratch *scratch, const XXH128_hash_t *keys, size_t n)
{
        return n <= FEW_KEYS ? has_duplicates_few(keys, n) : has_duplicates_many(scratch, keys, n);
}

/* The seeds keep apart what would else be the same bytes: 1 and "1", a key and a value. */
enum hash_seed { SEED_KEY = 1, SEED_STRING, SEED_NUMBER, SEED_WORD, SEED_MEMBER, SEED_ARRAY, SEED_OBJECT };

static XXH128_hash_t hash_pair(XXH128_hash_t a, XXH128_hash_t b, enum hash_seed seed)
{
        XXH128_hash_t pair[2] = {a, b};

        return XXH3_128bits_withSeed(pair, sizeof(pair), seed);
}

static bool read_any(struct json_reader *r, struct json_value *ret, XXH128_hash_t *ret_hash);

static bool read_array(struct json_reader *r, XXH128_hash_t *ret_hash)
{
        XXH128_hash_t hash = {0, 0};
        struct json_value item;

        r->p++;
        skip_space(r);
        if (r->p < r->end && *r->p == ']') {
                r->p++;
        } else {
                for (;;) {
                        XXH128_hash_t item_hash;

                        if (!read_any(r, &item, &item_hash))
                                return false;
                        hash = hash_pair(hash, item_hash, SEED_ARRAY);
                        skip_space(r);
                        if (r->p < r->end && *r->p == ']') {
                                r->p++;
                                break;
                        }
                        if (!expect(r, ',', "a comma or a closing bracket is missing"))
                                return false;
                }
        }
        *ret_hash = XXH3_128bits_withSeed(&hash, sizeof(hash), SEED_ARRAY);
        return true;
}

/* The hash is over the sum of the members' hashes, so that their order does not count. */
static bool read_object(struct json_reader *r, XXH128_hash_t *ret_hash)
{
        size_t base = r->keys_len;
        XXH128_hash_t sum = {0, 0};
        struct json_string key;

        r->p++;
        for (bool first = true; json_object_next(r, first, &key); first = false) {
                struct json_value value;
                XXH128_hash_t key_hash = hash_string(r, key, SEED_KEY);
                XXH128_hash_t member;

                r->scratch->keys = grow(r->scratch->keys, &r->scratch->keys_cap, r->keys_len + 1,
                                        sizeof(*r->scratch->keys));
                r->scratch->keys[r->keys_len++] = key_hash;
                if (!read_any(r, &value, &member))
                        return false;
                member = hash_pair(key_hash, member, SEED_MEMBER);
                sum.low64 += member.low64;
                sum.high64 += member.high64;
        }
        if (r->error)
                return false;
        if (has_duplicates(r->scratch, r->scratch->keys + base, r->keys_len - base))
                return fail(r, "an object has the same key twice");
        r->keys_len = base;
        *ret_hash = XXH3_128bits_withSeed(&sum, sizeof(sum), SEED_OBJECT);
        return true;
}

/* Deeper than the limit nothing is looked at any more: the reader only finds out whether the text goes on
 * being JSON as far as brackets and strings tell. Good enough to name the true reason. */
static bool skip_deep(struct json_reader *r)
{
        unsigned open = 0;
        struct json_string s;

        note_trouble(r, JSON_TROUBLE_DEPTH);
        while (r->p < r->end) {
                char c = *r->p++;

                if (c == '"' && !read_string(r, &s))
                        return false;
                if (c == '[' || c == '{')
                        open++;
                if ((c == ']' || c == '}') && --open == 0)
                        return true;
        }
        return fail(r, "the text ends inside an array or an object");
}

static bool read_container(struct json_reader *r, enum json_type type, XXH128_hash_t *ret_hash)
{
        bool ok;

        if (r->depth == JSON_MAX_DEPTH) {
                *ret_hash = (XXH128_hash_t){0, 0};
                return skip_deep(r);
        }
        r->depth++;
        ok = type == JSON_ARRAY ? read_array(r, ret_hash) : read_object(r, ret_hash);
        r->depth--;
        return ok;
}

/* @ret_hash may be NULL for scalars of the outermost level, whose hash nobody asks for. */
static bool read_any(struct json_reader *r, struct json_value *ret, XXH128_hash_t *ret_hash)
{
        struct json_string s;
        struct number number;
        const char *start;

        if (!json_peek(r, &ret->type))
                return false;
        start = r->p;
        ret->escaped = false;
        switch (ret->type) {
        case JSON_STRING:
                r->p++;
                if (!read_string(r, &s))
                        return false;
                ret->raw = s.raw;
                ret->escaped = s.escaped;
                if (ret_hash)
                        *ret_hash = hash_string(r, s, SEED_STRING);
                return true;
        case JSON_ARRAY:
        case JSON_OBJECT:
                if (!read_container(r, ret->type, &ret->hash))
                        return false;
                ret->raw = (struct slice){start, (size_t)(r->p - start)};
                if (ret_hash)
                        *ret_hash = ret->hash;
                return true;
        case JSON_NUMBER:
                if (!read_number(r, &number))
                        return false;
                ret->raw = (struct slice){start, (size_t)(r->p - start)};
                if (ret_hash)
                        *ret_hash = hash_number(r, &number, ret->raw, SEED_NUMBER);
                return true;
        case JSON_BOOL:
                if (!(*start == 't' ? read_word(r, "true", 4) : read_word(r, "false", 5)))
                        return false;
                break;
        case JSON_NULL:
                if (!read_word(r, "null", 4))
                        return false;
                break;
        }
        ret->raw = (struct slice){start, (size_t)(r->p - start)};
        if (ret_hash)
                *ret_hash = XXH3_128bits_withSeed(ret->raw.ptr, ret->raw.len, SEED_WORD);
        return true;
}

bool json_read(struct json_reader *r, struct json_value *ret)
{
        bool ok;

        r->trouble = JSON_TROUBLE_NONE;
        ok = read_any(r, ret, NULL);
        ret->trouble = r->trouble;
        return ok;
}

bool json_finish(struct json_reader *r)
{
        skip_space(r);
        if (r->p != r->end)
                return fail(r, "something stands behind the object");
        return true;
}
