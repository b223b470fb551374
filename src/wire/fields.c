#include "wire/fields.h"

#include "base/json_number.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "wire/hint.h"

/* The letters of FIELD_MAP as bits. */
enum { FIELD_OF_S = 1, FIELD_OF_C = 2, FIELD_OF_O = 4, FIELD_OF_H = 8 };

/* One bit per field. */
static const uint32_t fields_of_kind[RECORD_KINDS] = {
#define X(name, text, kinds) | ((kinds)&FIELD_OF_S ? 1u << FIELD_##name : 0)
        [RECORD_SPENDING] = 0 FIELD_MAP(X),
#undef X
#define X(name, text, kinds) | ((kinds)&FIELD_OF_C ? 1u << FIELD_##name : 0)
        [RECORD_AD_ACCOUNT] = 0 FIELD_MAP(X),
#undef X
#define X(name, text, kinds) | ((kinds)&FIELD_OF_O ? 1u << FIELD_##name : 0)
        [RECORD_AD_OBJECT] = 0 FIELD_MAP(X),
#undef X
#define X(name, text, kinds) | ((kinds)&FIELD_OF_H ? 1u << FIELD_##name : 0)
        [RECORD_HELLO] = 0 FIELD_MAP(X),
#undef X
};

static const struct slice names[] = {
#define X(name, text, kinds) {text, sizeof(text) - 1},
        FIELD_MAP(X)
#undef X
};

_Static_assert(FIELDS <= 32, "struct fields has a bit for each");

enum { EXCERPT_BYTES = 64 };

void field_reader_deinit(struct field_reader *r)
{
        json_scratch_deinit(&r->scratch);
}

/* --- finding the fields --- */

static bool is_field(enum field field, struct slice name)
{
        return slice_eq(names[field], name);
}

/* Returns the field called @name, or FIELDS. Lines of one client usually have their fields in the same
 * order, so tries first what followed @previous last time. */
static enum field find_field(struct field_reader *reader, enum field previous, struct slice name)
{
        enum field guess = reader->follows[previous];

        if (is_field(guess, name))
                return guess;
        for (enum field f = 0; f < FIELDS; f++) {
                if (is_field(f, name)) {
                        reader->follows[previous] = (uint8_t)f;
                        return f;
                }
        }
        return FIELDS;
}

static bool bad_json(const struct json_reader *r, enum field field, struct reject *ret_reject)
{
        size_t at = (size_t)(r->p - r->start);
        const char *hint = hint_find((struct slice){r->start, (size_t)(r->end - r->start)}, at);

        reject_set(ret_reject, REJECT_BAD_JSON, field < FIELDS ? names[field].ptr : NULL,
                   "%s (at byte %zu of the line)%s%s", r->error, at + 1, hint ? ": " : "", hint ? hint : "");
        return false;
}

/* Decodes a key, into @buf if it is escaped. Keys too long for any field need not be decoded. */
static struct slice key_name(struct json_string key, char *buf, size_t size)
{
        if (!key.escaped || key.raw.len > size)
                return key.raw;
        return (struct slice){buf, json_string_decode(key, buf)};
}

/* Reads the rest of a line that is JSON but not an object. */
static bool read_other(struct json_reader *r, struct reject *ret_reject)
{
        struct json_value value;

        if (!json_read(r, &value) || !json_finish(r))
                return bad_json(r, FIELDS, ret_reject);
        reject_set(ret_reject, REJECT_BAD_TYPE, NULL, "a line must be a JSON object%s",
                   value.type == JSON_ARRAY ? ", not an array (send one object per line)" : "");
        return false;
}

/* The first field of the line that no kind has. */
struct unknown_field {
        bool found;
        char name[REJECT_FIELD_BYTES];
};

/* True if the decoded name can be shown: a NUL would end it, and half a surrogate pair is not UTF-8. */
static bool is_readable(struct slice name)
{
        const char *end = name.ptr + name.len;

        for (const char *p = name.ptr; p < end;) {
                size_t len = (unsigned char)*p < 0x80 ? *p != '\0' : utf8_sequence(p, end);

                if (len == 0)
                        return false;
                p += len;
        }
        return true;
}

static void note_unknown(struct unknown_field *unknown, struct json_string key, struct slice name)
{
        if (!unknown->found)
                utf8_excerpt(is_readable(name) ? name : key.raw, unknown->name, sizeof(unknown->name));
        unknown->found = true;
}

static bool find_all(struct field_reader *reader, struct slice line, struct fields *f,
                     struct unknown_field *unknown)
{
        struct json_reader r;
        struct json_string key;
        enum json_type type;
        enum field previous = FIELDS;

        unknown->found = false;
        f->present = 0;
        json_reader_init(&r, line, &reader->scratch);
        r.text_max = reader->object_max;
        if (json_peek(&r, &type) && type != JSON_OBJECT)
                return read_other(&r, f->reject);
        if (r.error || !json_object_open(&r))
                return bad_json(&r, FIELDS, f->reject);
        for (bool first = true; json_object_next(&r, first, &key); first = false) {
                char buf[REJECT_FIELD_BYTES * 6];
                struct slice name = key_name(key, buf, sizeof(buf));
                enum field field = find_field(reader, previous, name);
                struct json_value value;

                if (!json_read(&r, field < FIELDS ? &f->values[field] : &value))
                        return bad_json(&r, field, f->reject);
                if (field == FIELDS) {
                        note_unknown(unknown, key, name);
                        continue;
                }
                if (f->present & 1u << field) {
                        r.error = "duplicate key";
                        return bad_json(&r, field, f->reject);
                }
                f->present |= 1u << field;
                previous = field;
        }
        if (r.error || !json_finish(&r))
                return bad_json(&r, FIELDS, f->reject);
        return true;
}

/* Returns false, with RECORD_KINDS in f->kind, if "kind" is unknown. */
static bool find_kind(struct fields *f)
{
        static const char rule[] =
                "kind must be \"spending\", \"adAccount\" or \"adObject\", or absent for spending";
        static const struct slice kinds[] = {
#define X(name, text) {text, sizeof(text) - 1},
                RECORD_KIND_MAP(X)
#undef X
        };
        char buf[FIELDS_WORD_BYTES];
        struct slice word;

        f->kind = RECORD_SPENDING;
        if (!fields_have(f, FIELD_KIND))
                return true;
        if (!fields_word(f, FIELD_KIND, rule, buf, &word)) {
                f->kind = RECORD_KINDS;
                return false;
        }
        f->kind = (enum record_kind)slice_find(kinds, RECORD_KINDS, word);
        return f->kind < RECORD_KINDS || fields_refuse(f, REJECT_BAD_VALUE, FIELD_KIND, rule);
}

static bool refuse_unknown(const struct fields *f, const char *name)
{
        static const char *const whats[] = {
                [RECORD_SPENDING] = "a spending record",
                [RECORD_AD_ACCOUNT] = "an adAccount record",
                [RECORD_AD_OBJECT] = "an adObject record",
                [RECORD_HELLO] = "a hello",
                [RECORD_KINDS] = "a record",
        };

        reject_set(f->reject, REJECT_UNKNOWN_FIELD, name, "%s has no %s", whats[f->kind],
                   name[0] ? "such field" : "field without a name");
        return false;
}

bool fields_read(struct field_reader *reader, struct slice line, struct fields *ret,
                 struct reject *ret_reject)
{
        struct unknown_field unknown;
        uint32_t strangers;
        bool is_kind;
        bool found;

        ret->reject = ret_reject;
        found = find_all(reader, line, ret, &unknown);
        json_scratch_trim(&reader->scratch);
        if (!found)
                return false;
        is_kind = find_kind(ret);
        if (unknown.found)
                return refuse_unknown(ret, unknown.name);
        if (!is_kind)
                return false;
        strangers = ret->present & ~fields_of_kind[ret->kind];
        if (strangers)
                return refuse_unknown(ret, names[__builtin_ctz(strangers)].ptr);
        return true;
}

/* --- reading one field --- */

bool fields_refuse(const struct fields *f, enum reject_code code, enum field field, const char *rule)
{
        const struct json_value *v = &f->values[field];
        char text[EXCERPT_BYTES];

        reject_set(f->reject, code, names[field].ptr, "%s, not %s%s%s", rule,
                   v->type == JSON_STRING ? "\"" : "", utf8_excerpt(v->raw, text, sizeof(text)),
                   v->type == JSON_STRING ? "\"" : "");
        return false;
}

static const char *trouble_text(enum json_trouble trouble)
{
        switch (trouble) {
        case JSON_TROUBLE_NUL:
                return "contains the character NUL (\\u0000), which PostgreSQL cannot store";
        case JSON_TROUBLE_SURROGATE:
                return "contains half of a surrogate pair, which PostgreSQL cannot store";
        case JSON_TROUBLE_NUMERIC:
                return "contains a number outside the range of PostgreSQL's numeric";
        case JSON_TROUBLE_DEPTH:
                return "is nested deeper than 256 levels";
        case JSON_TROUBLE_LONG:
                return "contains numbers that are too long once their exponents are written out (limits.max_line_bytes)";
        case JSON_TROUBLE_NONE:
                break;
        }
        return "";
}

/* Returns the field's value; NULL, and a reject, if it is missing or not of @type. */
static const struct json_value *required(const struct fields *f, enum field field, enum json_type type,
                                         const char *rule)
{
        const struct json_value *v = &f->values[field];
        const char *name = names[field].ptr;

        if (!fields_have(f, field)) {
                reject_set(f->reject, REJECT_MISSING_FIELD, name, "%s is required", name);
                return NULL;
        }
        if (v->type != type) {
                fields_refuse(f, REJECT_BAD_TYPE, field, rule);
                return NULL;
        }
        if (v->trouble) {
                reject_set(f->reject, REJECT_BAD_VALUE, name, "%s %s", name, trouble_text(v->trouble));
                return NULL;
        }
        return v;
}

/* Returns a string's text, decoded into @buf if escaped; values of more than @size raw bytes are wrong in
 * any case. */
static struct slice short_text(const struct json_value *v, char *buf, size_t size)
{
        if (!v->escaped || v->raw.len > size)
                return v->raw;
        return (struct slice){buf, json_string_decode((struct json_string){v->raw, true}, buf)};
}

bool fields_word(const struct fields *f, enum field field, const char *rule, char buf[FIELDS_WORD_BYTES],
                 struct slice *ret)
{
        const struct json_value *v = required(f, field, JSON_STRING, rule);

        if (!v)
                return false;
        *ret = short_text(v, buf, FIELDS_WORD_BYTES);
        return true;
}

bool fields_text(const struct fields *f, enum field field, const char *rule, struct json_string *ret)
{
        const struct json_value *v = required(f, field, JSON_STRING, rule);

        if (!v)
                return false;
        *ret = (struct json_string){v->raw, v->escaped};
        return true;
}

bool fields_platform(const struct fields *f, enum platform *ret)
{
        static const char rule[] = "platform must be \"META\", \"GOOGLE_ADS\" or \"TIKTOK\"";
        char buf[FIELDS_WORD_BYTES];
        struct slice word;

        return fields_word(f, FIELD_PLATFORM, rule, buf, &word) &&
               (platform_parse(word, ret) || fields_refuse(f, REJECT_BAD_VALUE, FIELD_PLATFORM, rule));
}

bool fields_uuid(const struct fields *f, enum field field, struct uuid *ret)
{
        static const char rule[] = "a UUID must be a string like 01234567-89ab-cdef-0123-456789abcdef";
        const struct json_value *v = required(f, field, JSON_STRING, rule);
        char buf[6 * UUID_TEXT_LEN];

        if (!v)
                return false;
        return uuid_parse(short_text(v, buf, sizeof(buf)), ret) ||
               fields_refuse(f, REJECT_BAD_VALUE, field, rule);
}

bool fields_optional_uuid(const struct fields *f, enum field field, bool *ret_has, struct uuid *ret)
{
        *ret_has = fields_have(f, field);
        return !*ret_has || fields_uuid(f, field, ret);
}

bool fields_external_id(const struct fields *f, enum field field, struct json_string *ret)
{
        const struct json_value *v =
                required(f, field, JSON_STRING,
                         "an external id must be a string (a number would lose digits above 2^53)");
        size_t len;

        if (!v)
                return false;
        *ret = (struct json_string){v->raw, v->escaped};
        len = v->raw.len;
        if (v->escaped && len <= 6 * EXTERNAL_ID_MAX) {
                char buf[6 * EXTERNAL_ID_MAX];

                len = json_string_decode(*ret, buf);
        }
        if (len < 1 || len > EXTERNAL_ID_MAX)
                return fields_refuse(f, REJECT_BAD_VALUE, field, "an external id must have 1 to 255 bytes");
        return true;
}

bool fields_time(const struct fields *f, enum field field, int64_t *ret)
{
        const struct json_value *v = required(
                f, field, JSON_STRING, "a time must be a string in RFC 3339 form, like 2026-01-31T00:00:00Z");
        char buf[256];

        if (!v)
                return false;
        switch (rfc3339_parse(short_text(v, buf, sizeof(buf)), ret)) {
        case RFC3339_OK:
                return true;
        case RFC3339_SYNTAX:
                return fields_refuse(
                        f, REJECT_BAD_VALUE, field,
                        "a time must be in RFC 3339 form with an offset, like 2026-01-31T00:00:00Z or "
                        "2026-01-31T00:00:00.123456+01:00");
        case RFC3339_PRECISION:
                return fields_refuse(f, REJECT_BAD_VALUE, field,
                                     "a time must have at most 6 fractional digits (microseconds)");
        case RFC3339_RANGE:
                break;
        }
        return fields_refuse(f, REJECT_BAD_VALUE, field,
                             "a time must exist: year 0001 to 9999, no leap second, offset under 16 hours");
}

enum decimal_string {
        DECIMAL_STRING_OK,
        DECIMAL_STRING_SYNTAX,
        DECIMAL_STRING_RANGE,
};

static bool refuse_range(const struct fields *f, enum field field)
{
        return fields_refuse(f, REJECT_BAD_VALUE, field,
                             "an integer must be within +-(2^53-1) as a number, or fit 64 bits as a string");
}

/* Parses a decimal string within the range of int64. */
static enum decimal_string parse_decimal_string(struct slice text, int64_t *ret)
{
        bool negative = text.len > 0 && text.ptr[0] == '-';
        size_t i = negative;
        uint64_t value = 0;

        if (i == text.len || (text.ptr[i] == '0' && text.len > i + 1))
                return DECIMAL_STRING_SYNTAX;
        for (; i < text.len; i++) {
                if (text.ptr[i] < '0' || text.ptr[i] > '9')
                        return DECIMAL_STRING_SYNTAX;
                if (i - negative >= 19)
                        continue; /* too large; check only that the rest is digits */
                value = value * 10 + (uint64_t)(text.ptr[i] - '0');
        }
        if (text.len - negative > 19 || value > (uint64_t)INT64_MAX + negative)
                return DECIMAL_STRING_RANGE;
        *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
        return DECIMAL_STRING_OK;
}

static bool read_decimal_string(const struct fields *f, enum field field, int64_t *ret)
{
        char buf[256];

        switch (parse_decimal_string(short_text(&f->values[field], buf, sizeof(buf)), ret)) {
        case DECIMAL_STRING_OK:
                return true;
        case DECIMAL_STRING_SYNTAX:
                return fields_refuse(
                        f, REJECT_BAD_VALUE, field,
                        "an integer in a string must be digits without leading zeros, like \"-120\"");
        case DECIMAL_STRING_RANGE:
                break;
        }
        return refuse_range(f, field);
}

static bool read_number(const struct fields *f, enum field field, int64_t *ret)
{
        const struct json_value *v = &f->values[field];
        const char *p = v->raw.ptr;
        struct json_number number;
        const char *error;

        if (v->is_short) {
                *ret = v->integer;
                return true;
        }
        json_number_read(&p, p + v->raw.len, &number, &error); /* cannot fail: it was read before */
        switch (json_number_integer(&number, ret)) {
        case JSON_INTEGER_OK:
                return true;
        case JSON_INTEGER_FRACTION:
                return fields_refuse(
                        f, REJECT_BAD_VALUE, field,
                        "an integer must not have a fraction (fractions are rejected, never rounded)");
        case JSON_INTEGER_RANGE:
                break;
        }
        return refuse_range(f, field);
}

bool fields_integer(const struct fields *f, enum field field, int64_t min, int64_t *ret)
{
        const struct json_value *v = &f->values[field];

        if (!fields_have(f, field))
                return required(f, field, JSON_NUMBER, "") != NULL;
        if (v->type != JSON_NUMBER && v->type != JSON_STRING)
                return fields_refuse(f, REJECT_BAD_TYPE, field,
                                     "an integer must be a number or a decimal string");
        if (!(v->type == JSON_NUMBER ? read_number : read_decimal_string)(f, field, ret))
                return false;
        if (*ret < min)
                return fields_refuse(f, REJECT_BAD_VALUE, field, "a count must not be negative");
        return true;
}

bool fields_currency(const struct fields *f, char ret[3])
{
        static const char rule[] = "currency must be three capital letters like \"EUR\"";
        const struct json_value *v = required(f, FIELD_CURRENCY, JSON_STRING, rule);
        struct slice text;
        char buf[64];

        if (!v)
                return false;
        text = short_text(v, buf, sizeof(buf));
        if (text.len != 3)
                return fields_refuse(f, REJECT_BAD_VALUE, FIELD_CURRENCY, rule);
        for (size_t i = 0; i < 3; i++) {
                if (text.ptr[i] < 'A' || text.ptr[i] > 'Z')
                        return fields_refuse(f, REJECT_BAD_VALUE, FIELD_CURRENCY, rule);
        }
        memcpy(ret, text.ptr, 3);
        return true;
}

bool fields_object(const struct fields *f, enum field field, const char *rule, struct slice *ret,
                   XXH128_hash_t *ret_hash)
{
        const struct json_value *v = required(f, field, JSON_OBJECT, rule);

        if (!v)
                return false;
        *ret = v->raw;
        if (ret_hash)
                *ret_hash = v->hash;
        return true;
}

size_t external_id_decode(struct json_string id, char out[EXTERNAL_ID_MAX + 1])
{
        char buf[6 * EXTERNAL_ID_MAX];
        size_t len = json_string_decode(id, id.escaped ? buf : out);

        if (id.escaped)
                memcpy(out, buf, len);
        out[len] = '\0';
        return len;
}
