#include "record.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "rfc3339.h"

/* In the order in which they are validated: of several faults, the first one is told. */
#define FIELD_MAP(X)                                                                                         \
        X(KIND, "kind")                                                                                      \
        X(PLATFORM, "platform")                                                                              \
        X(CONNECTION_ID, "connectionId")                                                                     \
        X(ACCOUNT_EXTERNAL_ID, "accountExternalId")                                                          \
        X(EXTERNAL_ID, "externalId")                                                                         \
        X(PERIOD_START, "periodStart")                                                                       \
        X(PERIOD_END, "periodEnd")                                                                           \
        X(COLLECTED_AT, "collectedAt")                                                                       \
        X(AMOUNT_CENTS, "amountCents")                                                                       \
        X(CURRENCY, "currency")                                                                              \
        X(IMPRESSIONS, "impressions")                                                                        \
        X(CLICKS, "clicks")                                                                                  \
        X(CONVERSIONS, "conversions")                                                                        \
        X(METRICS, "metrics")                                                                                \
        X(ID, "id")

enum field {
#define X(name, text) FIELD_##name,
        FIELD_MAP(X)
#undef X
                FIELDS
};

static const struct slice field_names[] = {
#define X(name, text) {text, sizeof(text) - 1},
        FIELD_MAP(X)
#undef X
};

enum { EXCERPT_BYTES = 64 };

/* A line's fields as they were found, before anyone asked what they mean. */
struct fields {
        uint32_t present; /* bit per enum field */
        struct json_value values[FIELDS];
};

void record_decoder_deinit(struct record_decoder *d)
{
        json_scratch_deinit(&d->scratch);
}

/* --- finding the fields --- */

static bool is_field(enum field field, struct slice name)
{
        return slice_eq(field_names[field], name);
}

/* The field called @name, or FIELDS. Lines of one source have their fields in one order, so what followed
 * @previous last time is tried first. */
static enum field find_field(struct record_decoder *d, enum field previous, struct slice name)
{
        enum field guess = d->follows[previous];

        if (is_field(guess, name))
                return guess;
        for (enum field f = 0; f < FIELDS; f++) {
                if (is_field(f, name)) {
                        d->follows[previous] = (uint8_t)f;
                        return f;
                }
        }
        return FIELDS;
}

static const char *excerpt(struct slice text, char out[EXCERPT_BYTES])
{
        return reject_excerpt(text, out, EXCERPT_BYTES);
}

/* Notes a field that no record has, the first one only. */
static void note_unknown(struct slice name, struct reject *ret_reject, bool *unknown)
{
        char text[REJECT_FIELD_BYTES];

        if (*unknown)
                return;
        *unknown = true;
        reject_set(ret_reject, REJECT_UNKNOWN_FIELD, reject_excerpt(name, text, sizeof(text)),
                   "a spending record has no such field");
}

static bool bad_json(const struct json_reader *r, enum field field, struct reject *ret_reject)
{
        reject_set(ret_reject, REJECT_BAD_JSON, field < FIELDS ? field_names[field].ptr : NULL,
                   "%s (at byte %zu of the line)", r->error, (size_t)(r->p - r->start) + 1);
        return false;
}

/* A key decoded; @buf is used where it is escaped. Only names as long as a field's matter. */
static struct slice key_name(struct json_string key, char *buf, size_t size)
{
        if (!key.escaped || key.raw.len > size)
                return key.raw;
        return (struct slice){buf, json_string_decode(key, buf)};
}

static bool read_fields(struct record_decoder *d, struct slice line, struct fields *f,
                        struct reject *ret_reject)
{
        struct json_reader r;
        struct json_string key;
        enum json_type type;
        enum field previous = FIELDS;
        bool unknown = false;

        f->present = 0;
        json_reader_init(&r, line, &d->scratch);
        if (json_peek(&r, &type) && type != JSON_OBJECT) {
                struct json_value value;

                if (!json_read(&r, &value) || !json_finish(&r))
                        return bad_json(&r, FIELDS, ret_reject);
                reject_set(ret_reject, REJECT_BAD_TYPE, NULL, "a line must be a JSON object");
                return false;
        }
        if (r.error || !json_object_open(&r))
                return bad_json(&r, FIELDS, ret_reject);
        for (bool first = true; json_object_next(&r, first, &key); first = false) {
                char buf[REJECT_FIELD_BYTES * 6];
                struct slice name = key_name(key, buf, sizeof(buf));
                enum field field = find_field(d, previous, name);
                struct json_value value;

                if (!json_read(&r, field < FIELDS ? &f->values[field] : &value))
                        return bad_json(&r, field, ret_reject);
                if (field == FIELDS) {
                        note_unknown(name, ret_reject, &unknown);
                        continue;
                }
                if (f->present & 1u << field) {
                        r.error = "the same key stands twice";
                        return bad_json(&r, field, ret_reject);
                }
                f->present |= 1u << field;
                previous = field;
        }
        if (r.error || !json_finish(&r))
                return bad_json(&r, FIELDS, ret_reject);
        return !unknown;
}

/* --- reading one field --- */

struct context {
        const struct fields *fields;
        struct reject *reject;
};

static bool bad(struct context *c, enum reject_code code, enum field field, const char *rule)
{
        const struct json_value *v = &c->fields->values[field];
        char text[EXCERPT_BYTES];

        reject_set(c->reject, code, field_names[field].ptr, "%s, not %s%s%s", rule,
                   v->type == JSON_STRING ? "\"" : "", excerpt(v->raw, text),
                   v->type == JSON_STRING ? "\"" : "");
        return false;
}

static bool is_present(const struct context *c, enum field field)
{
        return c->fields->present & 1u << field;
}

static const char *trouble_text(enum json_trouble trouble)
{
        switch (trouble) {
        case JSON_TROUBLE_NUL:
                return "holds the character NUL (\\u0000), which PostgreSQL cannot store";
        case JSON_TROUBLE_SURROGATE:
                return "holds half of a surrogate pair, which PostgreSQL cannot store";
        case JSON_TROUBLE_NUMERIC:
                return "holds a number outside of PostgreSQL's numeric, which jsonb cannot store";
        case JSON_TROUBLE_DEPTH:
                return "is nested deeper than 256 levels";
        case JSON_TROUBLE_NONE:
                break;
        }
        return "";
}

/* The field's value, which must be there and of @type; NULL and a reject otherwise. */
static const struct json_value *required(struct context *c, enum field field, enum json_type type,
                                         const char *rule)
{
        const struct json_value *v = &c->fields->values[field];

        if (!is_present(c, field)) {
                reject_set(c->reject, REJECT_MISSING_FIELD, field_names[field].ptr, "%s is required",
                           field_names[field].ptr);
                return NULL;
        }
        if (v->type != type) {
                bad(c, REJECT_BAD_TYPE, field, rule);
                return NULL;
        }
        if (v->trouble) {
                reject_set(c->reject, REJECT_BAD_VALUE, field_names[field].ptr, "%s %s",
                           field_names[field].ptr, trouble_text(v->trouble));
                return NULL;
        }
        return v;
}

/* A string's text where no value of more than @size raw bytes can be right: decoded into @buf when escaped.
 */
static struct slice short_text(const struct json_value *v, char *buf, size_t size)
{
        if (!v->escaped || v->raw.len > size)
                return v->raw;
        return (struct slice){buf, json_string_decode((struct json_string){v->raw, true}, buf)};
}

static bool read_kind(struct context *c)
{
        const struct json_value *v;
        char buf[64];

        if (!is_present(c, FIELD_KIND))
                return true;
        v = required(c, FIELD_KIND, JSON_STRING, "kind must be a string");
        if (!v)
                return false;
        if (!slice_eq(short_text(v, buf, sizeof(buf)), SLICE_LIT("spending")))
                return bad(c, REJECT_BAD_VALUE, FIELD_KIND, "kind must be \"spending\" or absent");
        return true;
}

static bool read_platform(struct context *c, enum platform *ret)
{
        static const char rule[] = "platform must be \"META\", \"GOOGLE_ADS\" or \"TIKTOK\"";
        const struct json_value *v = required(c, FIELD_PLATFORM, JSON_STRING, rule);
        char buf[64];

        if (!v)
                return false;
        return platform_parse(short_text(v, buf, sizeof(buf)), ret) ||
               bad(c, REJECT_BAD_VALUE, FIELD_PLATFORM, rule);
}

static bool read_uuid(struct context *c, enum field field, bool *ret_has, struct uuid *ret)
{
        static const char rule[] = "a UUID must be a string of the form 01234567-89ab-cdef-0123-456789abcdef";
        const struct json_value *v;
        char buf[6 * UUID_TEXT_LEN];

        *ret_has = is_present(c, field);
        if (!*ret_has)
                return true;
        v = required(c, field, JSON_STRING, rule);
        if (!v)
                return false;
        return uuid_parse(short_text(v, buf, sizeof(buf)), ret) || bad(c, REJECT_BAD_VALUE, field, rule);
}

static bool read_external_id(struct context *c, enum field field, struct json_string *ret)
{
        const struct json_value *v =
                required(c, field, JSON_STRING,
                         "an external id must be a string (a number would lose digits above 2^53)");
        size_t len;

        if (!v)
                return false;
        *ret = (struct json_string){v->raw, v->escaped};
        len = v->raw.len;
        if (v->escaped && len <= 6 * RECORD_TEXT_MAX) {
                char buf[6 * RECORD_TEXT_MAX];

                len = json_string_decode(*ret, buf);
        }
        if (len < 1 || len > RECORD_TEXT_MAX)
                return bad(c, REJECT_BAD_VALUE, field, "an external id must have 1 to 255 bytes");
        return true;
}

static bool read_time(struct context *c, enum field field, int64_t *ret)
{
        const struct json_value *v = required(
                c, field, JSON_STRING, "a time must be a string in RFC 3339 form, like 2026-01-31T00:00:00Z");
        char buf[256];

        if (!v)
                return false;
        switch (rfc3339_parse(short_text(v, buf, sizeof(buf)), ret)) {
        case RFC3339_OK:
                return true;
        case RFC3339_SYNTAX:
                return bad(c, REJECT_BAD_VALUE, field,
                           "a time must have the RFC 3339 form with an offset, like 2026-01-31T00:00:00Z or "
                           "2026-01-31T00:00:00.123456+01:00");
        case RFC3339_PRECISION:
                return bad(c, REJECT_BAD_VALUE, field,
                           "a time must not be finer than microseconds (6 digits)");
        case RFC3339_RANGE:
                break;
        }
        return bad(c, REJECT_BAD_VALUE, field,
                   "a time must exist: years 0001 to 9999, no leap second, an offset under 16 hours");
}

enum integer_result {
        INTEGER_OK,
        INTEGER_SYNTAX,
        INTEGER_FRACTION,
        INTEGER_RANGE,
};

/* A decimal string, for the whole range of int64. */
static enum integer_result parse_decimal_string(struct slice text, int64_t *ret)
{
        bool negative = text.len > 0 && text.ptr[0] == '-';
        size_t i = negative;
        uint64_t value = 0;

        if (i == text.len || (text.ptr[i] == '0' && text.len > i + 1))
                return INTEGER_SYNTAX;
        for (; i < text.len; i++) {
                if (text.ptr[i] < '0' || text.ptr[i] > '9')
                        return INTEGER_SYNTAX;
                if (i - negative >= 19)
                        continue; /* too long in any case; the rest must still be digits */
                value = value * 10 + (uint64_t)(text.ptr[i] - '0');
        }
        if (text.len - negative > 19 || value > (uint64_t)INT64_MAX + negative)
                return INTEGER_RANGE;
        *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
        return INTEGER_OK;
}

/* A JSON number in exact decimal arithmetic: its digits without point and trailing zeros, times a power
 * of 10. */
static enum integer_result parse_number(struct slice text, int64_t *ret)
{
        const uint64_t max = (UINT64_C(1) << 53) - 1;
        const char *p = text.ptr;
        const char *end = p + text.len;
        bool negative = *p == '-';
        bool in_fraction = false;
        uint64_t value = 0;
        int64_t power = 0;   /* of the digits taken into value */
        int64_t pending = 0; /* zeros seen behind them, not yet taken */

        for (p += negative; p < end && *p != 'e' && *p != 'E'; p++) {
                if (*p == '.') {
                        in_fraction = true;
                        continue;
                }
                power -= in_fraction;
                if (*p == '0') {
                        pending++;
                        continue;
                }
                for (; pending > 0 && value != 0 && value <= max; pending--)
                        value *= 10;
                pending = 0;
                if (value <= max)
                        value = value * 10 + (uint64_t)(*p - '0');
        }
        if (value == 0) {
                *ret = 0;
                return INTEGER_OK;
        }
        power += pending;
        if (p < end) {
                bool minus = *++p == '-';
                int64_t exponent = 0;

                for (p += *p == '-' || *p == '+'; p < end && exponent < INT32_MAX; p++)
                        exponent = exponent * 10 + (*p - '0');
                power += minus ? -exponent : exponent;
        }
        if (power < 0)
                return INTEGER_FRACTION;
        for (; power > 0 && value <= max; power--)
                value *= 10;
        if (value > max)
                return INTEGER_RANGE;
        *ret = negative ? -(int64_t)value : (int64_t)value;
        return INTEGER_OK;
}

static bool read_integer(struct context *c, enum field field, int64_t min, int64_t *ret)
{
        const struct json_value *v = &c->fields->values[field];
        enum integer_result result;
        char buf[256];

        if (v->type == JSON_NUMBER)
                result = parse_number(v->raw, ret);
        else if (v->type == JSON_STRING)
                result = parse_decimal_string(short_text(v, buf, sizeof(buf)), ret);
        else
                return bad(c, REJECT_BAD_TYPE, field, "an integer must be a number or a decimal string");
        switch (result) {
        case INTEGER_OK:
                break;
        case INTEGER_SYNTAX:
                return bad(c, REJECT_BAD_VALUE, field,
                           "an integer in a string must be decimal digits like \"-120\"");
        case INTEGER_FRACTION:
                return bad(c, REJECT_BAD_VALUE, field,
                           "an integer must not have a fraction, and none is rounded");
        case INTEGER_RANGE:
                return bad(c, REJECT_BAD_VALUE, field,
                           "an integer must be within +-(2^53-1) as a number, or within int64 as a string");
        }
        if (*ret < min)
                return bad(c, REJECT_BAD_VALUE, field, "a count must not be negative");
        return true;
}

static bool read_amount(struct context *c, int64_t *ret)
{
        if (!is_present(c, FIELD_AMOUNT_CENTS)) {
                required(c, FIELD_AMOUNT_CENTS, JSON_NUMBER, "");
                return false;
        }
        return read_integer(c, FIELD_AMOUNT_CENTS, INT64_MIN, ret);
}

static bool read_count(struct context *c, enum field field, enum record_null null,
                       struct spending_record *rec, int64_t *ret)
{
        *ret = 0;
        if (!is_present(c, field) || c->fields->values[field].type == JSON_NULL) {
                rec->nulls |= (uint8_t)null;
                return true;
        }
        return read_integer(c, field, 0, ret);
}

static bool read_currency(struct context *c, char ret[3])
{
        static const char rule[] = "currency must be three capital letters like \"EUR\"";
        const struct json_value *v = required(c, FIELD_CURRENCY, JSON_STRING, rule);
        struct slice text;
        char buf[64];

        if (!v)
                return false;
        text = short_text(v, buf, sizeof(buf));
        if (text.len != 3)
                return bad(c, REJECT_BAD_VALUE, FIELD_CURRENCY, rule);
        for (size_t i = 0; i < 3; i++) {
                if (text.ptr[i] < 'A' || text.ptr[i] > 'Z')
                        return bad(c, REJECT_BAD_VALUE, FIELD_CURRENCY, rule);
        }
        memcpy(ret, text.ptr, 3);
        return true;
}

static bool read_metrics(struct context *c, struct spending_record *rec)
{
        const struct json_value *v = &c->fields->values[FIELD_METRICS];

        if (!is_present(c, FIELD_METRICS) || v->type == JSON_NULL) {
                rec->nulls |= RECORD_NULL_METRICS;
                rec->metrics = (struct slice){NULL, 0};
                rec->metrics_hash = (XXH128_hash_t){0, 0};
                return true;
        }
        if (!required(c, FIELD_METRICS, JSON_OBJECT, "metrics must be an object or null"))
                return false;
        rec->metrics = v->raw;
        rec->metrics_hash = v->hash;
        return true;
}

static bool read_collected_at(struct context *c, int64_t received_us, struct spending_record *rec)
{
        rec->collected_at = received_us;
        if (is_present(c, FIELD_COLLECTED_AT))
                return read_time(c, FIELD_COLLECTED_AT, &rec->collected_at);
        return true;
}

bool record_decode(struct record_decoder *d, struct slice line, int64_t received_us,
                   struct spending_record *ret, struct reject *ret_reject)
{
        struct fields fields;
        struct context c = {&fields, ret_reject};

        if (!read_fields(d, line, &fields, ret_reject))
                return false;
        ret->nulls = 0;
        if (!read_kind(&c) || !read_platform(&c, &ret->platform) ||
            !read_uuid(&c, FIELD_CONNECTION_ID, &ret->has_connection, &ret->connection_id) ||
            !read_external_id(&c, FIELD_ACCOUNT_EXTERNAL_ID, &ret->account_external_id) ||
            !read_external_id(&c, FIELD_EXTERNAL_ID, &ret->external_id) ||
            !read_time(&c, FIELD_PERIOD_START, &ret->period_start) ||
            !read_time(&c, FIELD_PERIOD_END, &ret->period_end))
                return false;
        if (ret->period_start >= ret->period_end)
                return bad(&c, REJECT_BAD_VALUE, FIELD_PERIOD_END,
                           "periodEnd must be later than periodStart");
        if (!read_collected_at(&c, received_us, ret) || !read_amount(&c, &ret->amount_cents) ||
            !read_currency(&c, ret->currency) ||
            !read_count(&c, FIELD_IMPRESSIONS, RECORD_NULL_IMPRESSIONS, ret, &ret->impressions) ||
            !read_count(&c, FIELD_CLICKS, RECORD_NULL_CLICKS, ret, &ret->clicks) ||
            !read_count(&c, FIELD_CONVERSIONS, RECORD_NULL_CONVERSIONS, ret, &ret->conversions) ||
            !read_metrics(&c, ret) || !read_uuid(&c, FIELD_ID, &ret->has_id, &ret->id))
                return false;
        ret->any_time = ret->has_id && !is_present(&c, FIELD_COLLECTED_AT);
        return true;
}

void record_derive_id(struct spending_record *rec)
{
        struct {
                struct uuid ad_object_id;
                uint64_t numbers[9];
                char currency[3];
                uint8_t nulls;
        } __attribute__((packed)) input;
        int64_t ms = rec->collected_at / 1000 - (rec->collected_at % 1000 < 0);
        XXH128_hash_t hash;

        if (rec->has_id)
                return;
        input.ad_object_id = rec->ad_object_id;
        input.numbers[0] = htole64((uint64_t)rec->collected_at);
        input.numbers[1] = htole64((uint64_t)rec->period_start);
        input.numbers[2] = htole64((uint64_t)rec->period_end);
        input.numbers[3] = htole64((uint64_t)rec->amount_cents);
        input.numbers[4] = htole64((uint64_t)rec->impressions);
        input.numbers[5] = htole64((uint64_t)rec->clicks);
        input.numbers[6] = htole64((uint64_t)rec->conversions);
        input.numbers[7] = htole64(rec->metrics_hash.low64);
        input.numbers[8] = htole64(rec->metrics_hash.high64);
        memcpy(input.currency, rec->currency, sizeof(input.currency));
        input.nulls = rec->nulls;
        hash = XXH3_128bits(&input, sizeof(input));
        rec->id = uuid_v8(ms, hash.high64, hash.low64);
}
