#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/slice.h"

/* A strict JSON reader (RFC 8259) for one text in memory: one pass, no tree, no allocation in the steady
 * state. It says of each value what it is and where it stands, checks what PostgreSQL's jsonb could not hold,
 * and hashes values so that two texts which jsonb would store alike hash alike (white space, escapes, the
 * order of keys and a number's exponent do not count; its digits do). */

enum { JSON_MAX_DEPTH = 256 };

enum json_type {
        JSON_NULL,
        JSON_BOOL,
        JSON_NUMBER,
        JSON_STRING,
        JSON_ARRAY,
        JSON_OBJECT,
};

/* Legal JSON that PostgreSQL cannot hold. */
enum json_trouble {
        JSON_TROUBLE_NONE,
        JSON_TROUBLE_NUL,       /* \u0000 */
        JSON_TROUBLE_SURROGATE, /* \ud800 without its other half */
        JSON_TROUBLE_NUMERIC,   /* outside of numeric: 131072 digits before, 16383 after the decimal point */
        JSON_TROUBLE_DEPTH,     /* nested deeper than JSON_MAX_DEPTH */
        JSON_TROUBLE_LONG, /* jsonb prints more than text_max bytes: 1e131071 is short, its text is not */
};

/* A string between its quotes, as it was sent. */
struct json_string {
        struct slice raw;
        bool escaped; /* holds a backslash: json_string_decode before use */
};

struct json_value {
        enum json_type type;
        struct slice raw;          /* the value's text, a string's without its quotes */
        bool escaped;              /* strings: as in struct json_string */
        bool is_short;             /* numbers: an integer of up to 15 digits, sent as such */
        int64_t integer;           /* then */
        enum json_trouble trouble; /* the first one found inside */
        XXH128_hash_t hash;        /* arrays and objects only */
};

enum { JSON_SCRATCH_KEPT = 64 * 1024 }; /* bytes that json_scratch_trim leaves */

/* Memory that a reader needs for keys and escaped strings; grows to what the largest text needs. */
struct json_scratch {
        XXH128_hash_t *keys;
        size_t keys_cap;
        uint32_t *table;
        size_t table_cap;
        uint64_t seed; /* of the table, drawn at its first use: nobody can aim at one slot */
        struct buf text;
};

void json_scratch_deinit(struct json_scratch *scratch);

/* Frees what a long text made it grow to. */
void json_scratch_trim(struct json_scratch *scratch);

struct json_reader {
        const char *start;
        const char *p;
        const char *end;
        struct json_scratch *scratch;
        size_t text_max; /* bytes that jsonb may print of one array or object; 0: any */
        size_t keys_len;
        unsigned depth;
        size_t grown; /* bytes that numbers of the value are longer as jsonb prints them than as they were sent */
        enum json_trouble trouble;
        const char *error; /* what is wrong, a fixed text; NULL while all is well */
};

/* @scratch must be zeroed before its first use, and is borrowed as long as the reader is used. */
void json_reader_init(struct json_reader *r, struct slice text, struct json_scratch *scratch);

/* The type of the value that comes next, white space skipped; false where the text ends or the byte starts no
 * value (r->error is set). */
bool json_peek(struct json_reader *r, enum json_type *ret);

/* Reads '{'. False (and r->error) for anything else. */
bool json_object_open(struct json_reader *r);

/* Reads the next key and its ':'. False at the object's end, or with r->error set. @first is true for the
 * first call on an object. Does not look for duplicate keys: the caller knows its fields. */
bool json_object_next(struct json_reader *r, bool first, struct json_string *ret_key);

/* Reads and checks a whole value, with duplicate keys at every level inside it. False with r->error set. */
bool json_read(struct json_reader *r, struct json_value *ret);

/* True where nothing but white space is left; else false, and r->error is set. */
bool json_finish(struct json_reader *r);

/* Decodes @s into @out, which must have room for s.raw.len bytes (decoding never makes longer); returns the
 * decoded length. @s must come from a reader that found no trouble in it. */
size_t json_string_decode(struct json_string s, char *out);

#endif
