#include "base/json.h"

#include <endian.h>
#include <stdlib.h>

#include <sys/random.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/json_escape.h"
#include "base/json_number.h"
#include "base/memory.h"
#include "base/utf8.h"

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

/* Grows *array to at least @need elements of @size bytes. Aborts if memory runs out: texts have a bounded
 * length. */
static void *grow(void *array, size_t *cap, size_t need, size_t size)
{
        size_t want = *cap ? *cap : 64;

        if (need <= *cap)
                return array;
        while (want < need)
                want *= 2;
        array = must_realloc(array, want * size);
        *cap = want;
        return array;
}

void json_scratch_deinit(struct json_scratch *scratch)
{
        free(scratch->keys);
        free(scratch->table);
        buf_deinit(&scratch->text);
        *scratch = (struct json_scratch){0};
}

void json_scratch_trim(struct json_scratch *scratch)
{
        if (scratch->keys_cap * sizeof(*scratch->keys) + scratch->table_cap * sizeof(*scratch->table) +
                    scratch->text.cap >
            JSON_SCRATCH_KEPT)
                json_scratch_deinit(scratch);
}

void json_reader_init(struct json_reader *r, struct slice text, struct json_scratch *scratch)
{
        *r = (struct json_reader){
                .start = text.ptr, .p = text.ptr, .end = text.ptr + text.len, .scratch = scratch};
}

static inline void skip_space(struct json_reader *r)
{
        while (r->p < r->end && (unsigned char)*r->p <= ' ' &&
               (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
                r->p++;
}

/* Skips @c if it is the next byte. */
static inline bool take(struct json_reader *r, char c)
{
        bool found = r->p < r->end && *r->p == c;

        r->p += found;
        return found;
}

static bool expect_behind_space(struct json_reader *r, char c, const char *error)
{
        skip_space(r);
        return take(r, c) || fail(r, error);
}

static inline bool expect(struct json_reader *r, char c, const char *error)
{
        return take(r, c) || expect_behind_space(r, c, error);
}

/* --- strings --- */

/* r->p is after "\u". */
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

/* r->p is after a backslash. */
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

/* Returns the first byte from @p on that is a control character, quote, backslash or not ASCII; @end if
 * there is none. */
static inline const char *skip_plain(const char *p, const char *end)
{
        const uint64_t ones = 0x0101010101010101u;
        const uint64_t highs = 0x8080808080808080u;

#if defined(__SSE2__)
        for (; end - p >= 16; p += 16) {
                __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
                /* signed comparison: bytes above 0x7f match, too */
                __m128i other = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
                __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                            _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
                int mask = _mm_movemask_epi8(_mm_or_si128(other, ends));

                if (mask)
                        return p + __builtin_ctz((unsigned)mask);
        }
#endif
        for (; end - p >= 8; p += 8) {
                uint64_t w;
                /* high bits of matching bytes; a borrow may set wrong bits after the first match, never
                 * before */
                uint64_t special;

                memcpy(&w, p, 8);
                w = le64toh(w);
                special = (w | (w - ones * 0x20) | ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones)) &
                          highs;
                if (special)
                        return p + __builtin_ctzll(special) / 8;
        }
        while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
                p++;
        return p;
}

/* Reads the rest of a string that began at @start, from r->p on. */
static bool read_string_on(struct json_reader *r, const char *start, struct slice *ret_raw, bool *ret_escaped)
{
        for (;;) {
                r->p = skip_plain(r->p, r->end);
                if (r->p == r->end)
                        return fail(r, "the text ends inside a string");
                if (*r->p == '"') {
                        *ret_raw = (struct slice){start, (size_t)(r->p - start)};
                        r->p++;
                        return true;
                }
                if (*r->p == '\\') {
                        *ret_escaped = true;
                        r->p++;
                        if (!read_escape(r))
                                return false;
                } else if ((unsigned char)*r->p < 0x20) {
                        return fail(r, "a control character in a string is not escaped");
                } else {
                        size_t n = utf8_sequence(r->p, r->end);

                        if (n == 0)
                                return fail(r, "the text is not valid UTF-8");
                        r->p += n;
                }
        }
}

/* r->p is after the opening quote, and afterwards after the closing one. Stores the result as two words, not
 * as a struct json_string: one 16-byte load right after two 8-byte stores would miss store forwarding. */
static inline bool read_string(struct json_reader *r, struct slice *ret_raw, bool *ret_escaped)
{
        const char *start = r->p;
        const char *p = skip_plain(start, r->end);

        r->p = p;
        *ret_escaped = false;
        if (p == r->end || *p != '"')
                return read_string_on(r, start, ret_raw, ret_escaped);
        r->p++;
        ret_raw->ptr = start;
        ret_raw->len = (size_t)(p - start);
        return true;
}

static XXH128_hash_t hash_string(struct json_reader *r, struct slice raw, bool escaped, uint64_t seed)
{
        char *text;
        size_t len;

        if (!escaped)
                return XXH3_128bits_withSeed(raw.ptr, raw.len, seed);
        r->scratch->text.len = 0;
        text = buf_reserve(&r->scratch->text, raw.len);
        len = json_string_decode((struct json_string){raw, true}, text);
        return XXH3_128bits_withSeed(text, len, seed);
}

/* --- values --- */

static bool read_word(struct json_reader *r, const char *word, size_t len)
{
        if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
                return fail(r, "a value is not valid JSON");
        r->p += len;
        return true;
}

/* The value type that each first byte announces. */
static const unsigned char type_of[256] = {
        ['"'] = 1 + JSON_STRING, ['{'] = 1 + JSON_OBJECT, ['['] = 1 + JSON_ARRAY,  ['t'] = 1 + JSON_BOOL,
        ['f'] = 1 + JSON_BOOL,   ['n'] = 1 + JSON_NULL,   ['-'] = 1 + JSON_NUMBER, ['0'] = 1 + JSON_NUMBER,
        ['1'] = 1 + JSON_NUMBER, ['2'] = 1 + JSON_NUMBER, ['3'] = 1 + JSON_NUMBER, ['4'] = 1 + JSON_NUMBER,
        ['5'] = 1 + JSON_NUMBER, ['6'] = 1 + JSON_NUMBER, ['7'] = 1 + JSON_NUMBER, ['8'] = 1 + JSON_NUMBER,
        ['9'] = 1 + JSON_NUMBER,
};

bool json_peek(struct json_reader *r, enum json_type *ret)
{
        unsigned type;

        skip_space(r);
        if (r->p == r->end)
                return fail(r, "the text ends where a value is expected");
        type = type_of[(unsigned char)*r->p];
        if (!type)
                return fail(r, "a value is not valid JSON");
        *ret = (enum json_type)(type - 1);
        return true;
}

bool json_object_open(struct json_reader *r)
{
        return expect(r, '{', "the text is not a JSON object");
}

bool json_object_next(struct json_reader *r, bool first, struct json_string *ret_key)
{
        if (first || !take(r, ',')) {
                skip_space(r);
                if (take(r, '}'))
                        return false;
                if (!first && !expect(r, ',', "a comma or a closing brace is missing"))
                        return false;
        }
        return expect(r, '"', "a key is missing or not in double quotes") &&
               read_string(r, &ret_key->raw, &ret_key->escaped) &&
               expect(r, ':', "a colon is missing after a key");
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

/* Clients can compute the hashes of keys, so slots also depend on a secret seed. */
static size_t slot_of(const struct json_scratch *scratch, const XXH128_hash_t *key)
{
        return (size_t)XXH3_64bits_withSeed(key, sizeof(*key), scratch->seed);
}

static void draw_seed(struct json_scratch *scratch)
{
        while (scratch->seed == 0) {
                if (getrandom(&scratch->seed, sizeof(scratch->seed), 0) != sizeof(scratch->seed))
                        abort(); /* getrandom(2) never returns fewer than 8 bytes */
        }
}

static bool has_duplicates_many(struct json_scratch *scratch, const XXH128_hash_t *keys, size_t n)
{
        size_t size = 32;

        draw_seed(scratch);
        while (size < n * 2)
                size *= 2;
        scratch->table = grow(scratch->table, &scratch->table_cap, size, sizeof(*scratch->table));
        memset(scratch->table, 0, size * sizeof(*scratch->table));
        for (size_t i = 0; i < n; i++) {
                size_t slot = slot_of(scratch, &keys[i]) & (size - 1);

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

/* Distinct seeds tell 1 from "1", and a key from a value. */
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
        if (!take(r, ']')) {
                for (;;) {
                        XXH128_hash_t item_hash;

                        if (!read_any(r, &item, &item_hash))
                                return false;
                        hash = hash_pair(hash, item_hash, SEED_ARRAY);
                        skip_space(r);
                        if (take(r, ']'))
                                break;
                        if (!expect(r, ',', "a comma or a closing bracket is missing"))
                                return false;
                }
        }
        *ret_hash = XXH3_128bits_withSeed(&hash, sizeof(hash), SEED_ARRAY);
        return true;
}

/* Hashes the sum of the members' hashes, so that their order does not count. */
static bool read_object(struct json_reader *r, XXH128_hash_t *ret_hash)
{
        size_t base = r->keys_len;
        XXH128_hash_t sum = {0, 0};
        struct json_string key;

        r->p++;
        for (bool first = true; json_object_next(r, first, &key); first = false) {
                struct json_value value;
                XXH128_hash_t key_hash = hash_string(r, key.raw, key.escaped, SEED_KEY);
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

/* Skips a value that is nested too deeply, checking only brackets and strings: enough to tell too deep JSON
 * from invalid JSON. */
static bool skip_deep(struct json_reader *r)
{
        unsigned open = 0;
        struct json_string s;

        note_trouble(r, JSON_TROUBLE_DEPTH);
        while (r->p < r->end) {
                char c = *r->p++;

                if (c == '"' && !read_string(r, &s.raw, &s.escaped))
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

static bool read_number(struct json_reader *r, struct json_value *ret, XXH128_hash_t *ret_hash)
{
        const char *start = r->p;
        const char *end = json_number_read_short(start, r->end, &ret->integer);
        struct json_number number;

        ret->is_short = end != NULL;
        if (end) {
                r->p = end;
                ret->raw = (struct slice){start, (size_t)(end - start)};
                if (ret_hash)
                        *ret_hash = XXH3_128bits_withSeed(start, ret->raw.len, SEED_NUMBER);
                return true;
        }
        if (!json_number_read(&r->p, r->end, &number, &r->error))
                return false;
        if (!json_number_fits_numeric(&number))
                note_trouble(r, JSON_TROUBLE_NUMERIC);
        else if (number.has_exponent)
                r->grown += json_number_text_len(&number); /* these few bytes are what was sent */
        ret->raw = number.text;
        if (ret_hash)
                *ret_hash = json_number_hash(&number, SEED_NUMBER, &r->scratch->text);
        return true;
}

/* @ret_hash may be NULL for top-level scalars, whose hash is not needed. */
static bool read_any(struct json_reader *r, struct json_value *ret, XXH128_hash_t *ret_hash)
{
        const char *start;

        if (!json_peek(r, &ret->type))
                return false;
        start = r->p;
        ret->escaped = false;
        switch (ret->type) {
        case JSON_STRING:
                r->p++;
                if (!read_string(r, &ret->raw, &ret->escaped))
                        return false;
                if (ret_hash)
                        *ret_hash = hash_string(r, ret->raw, ret->escaped, SEED_STRING);
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
                return read_number(r, ret, ret_hash);
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

/* Checks jsonb's output length of an array or object. jsonb writes out exponents and adds a blank after each
 * comma and colon, which lengthens the text by half at most; strings never become longer. */
static __attribute__((noinline)) void look_at_length(struct json_reader *r, const struct json_value *value)
{
        if (r->text_max > 0 && (value->type == JSON_ARRAY || value->type == JSON_OBJECT) &&
            value->raw.len + value->raw.len / 2 + r->grown > r->text_max)
                note_trouble(r, JSON_TROUBLE_LONG);
}

bool json_read(struct json_reader *r, struct json_value *ret)
{
        bool ok;

        r->trouble = JSON_TROUBLE_NONE;
        r->grown = 0;
        ok = read_any(r, ret, NULL);
        if (ok && r->grown > 0)
                look_at_length(r, ret);
        ret->trouble = r->trouble;
        return ok;
}

bool json_finish(struct json_reader *r)
{
        skip_space(r);
        if (r->p != r->end)
                return fail(r, "text follows the object");
        return true;
}
