#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/slice.h"

/* A strict JSON reader (RFC 8259) for one text in memory: one pass, no tree, no allocation once its scratch
 * memory has grown. For each value it reports type and position, checks that PostgreSQL's jsonb can hold it,
 * and computes a hash. Texts that jsonb stores alike hash alike: white space, escapes, the order of keys and
 * a number's exponent do not count; a number's digits do. */

enum { JSON_MAX_DEPTH = 256 };

enum json_type {
        JSON_NULL,
        JSON_BOOL,
        JSON_NUMBER,
        JSON_STRING,
        JSON_ARRAY,
        JSON_OBJECT,
};

/* Legal JSON that PostgreSQL's jsonb cannot hold. */
enum json_trouble {
        JSON_TROUBLE_NONE,
        JSON_TROUBLE_NUL,       /* \u0000 */
        JSON_TROUBLE_SURROGATE, /* \ud800 without its other half */
        /* out of range for numeric: more than 131072 digits before or 16383 after the decimal point */
        JSON_TROUBLE_NUMERIC,
        JSON_TROUBLE_DEPTH, /* nested deeper than JSON_MAX_DEPTH */
        /* jsonb's output would exceed text_max bytes: 1e131071 is short, its output is not */
        JSON_TROUBLE_LONG,
};

/* A string as it was sent, without its quotes. */
struct json_string {
        struct slice raw;
        bool escaped; /* contains a backslash: call json_string_decode before use */
};

struct json_value {
        enum json_type type;
        struct slice raw; /* the value's text; a string's without its quotes */
        bool escaped;     /* strings: as in struct json_string */
        bool is_short;    /* numbers: an integer of at most 15 digits, without fraction or exponent */
        int64_t integer;  /* its value, if is_short */
        enum json_trouble trouble; /* the first trouble found inside the value */
        XXH128_hash_t hash;        /* arrays and objects only */
};

enum { JSON_SCRATCH_KEPT = 64 * 1024 }; /* bytes that json_scratch_trim keeps */

/* Memory for keys and escaped strings; grows as far as the largest text requires. */
struct json_scratch {
        XXH128_hash_t *keys;
        size_t keys_cap;
        uint32_t *table;
        size_t table_cap;
        uint64_t seed; /* of the table; random, so that nobody can aim keys at one slot */
        struct buf text;
};

void json_scratch_deinit(struct json_scratch *scratch);

/* Frees what a long text made the scratch memory grow by. */
void json_scratch_trim(struct json_scratch *scratch);

struct json_reader {
        const char *start;
        const char *p;
        const char *end;
        struct json_scratch *scratch;
        size_t text_max; /* limit of jsonb's output for one array or object, in bytes; 0: none */
        size_t keys_len;
        unsigned depth;
        size_t grown; /* bytes by which jsonb's output of the value's numbers exceeds what was sent */
        enum json_trouble trouble;
        const char *error; /* a static text; NULL as long as no error was found */
};

/* @scratch must be zeroed before its first use and must outlive the reader's use. */
void json_reader_init(struct json_reader *r, struct slice text, struct json_scratch *scratch);

/* Skips white space and returns the type of the next value in *ret. Returns false and sets r->error if the
 * text ends or the byte starts no value. */
bool json_peek(struct json_reader *r, enum json_type *ret);

/* Reads '{'. Returns false and sets r->error for anything else. */
bool json_object_open(struct json_reader *r);

/* Reads the next key and its ':'. Returns false at the object's end, or on an error with r->error set.
 * @first is true for the first call on an object. Does not detect duplicate keys: the caller knows its
 * fields. */
bool json_object_next(struct json_reader *r, bool first, struct json_string *ret_key);

/* Reads and checks a whole value; rejects duplicate keys at every level. Returns false and sets r->error on
 * an error. */
bool json_read(struct json_reader *r, struct json_value *ret);

/* Returns true if only white space is left; otherwise false, with r->error set. */
bool json_finish(struct json_reader *r);

/* Decodes @s into @out, which needs room for s.raw.len bytes (decoding never lengthens), and returns the
 * decoded length. @s must come from a reader that found no trouble in it. */
size_t json_string_decode(struct json_string s, char *out);

#endif
