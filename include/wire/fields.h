#ifndef FIELDS_H
#define FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <xxhash.h>

#include "base/json.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "model/platform.h"
#include "wire/reject.h"

/* The fields of a line of any kind: found in one pass, then read one by one by the reader of that kind
 * (spending_record, hierarchy_record). Of several faults only the first is reported: faults of the JSON,
 * then unknown fields, then the rules in the order in which fields are read. */

/* The values of "kind". */
#define RECORD_KIND_MAP(X)                                                                                   \
        X(SPENDING, "spending")                                                                              \
        X(AD_ACCOUNT, "adAccount")                                                                           \
        X(AD_OBJECT, "adObject")                                                                             \
        X(HELLO, "hello")

enum record_kind {
#define X(name, text) RECORD_##name,
        RECORD_KIND_MAP(X)
#undef X
                RECORD_KINDS
};

/* Each field's name on the wire, and the kinds that have it: S spending, C adAccount, O adObject, H hello. */
#define FIELD_MAP(X)                                                                                         \
        X(KIND, "kind", FIELD_OF_S | FIELD_OF_C | FIELD_OF_O | FIELD_OF_H)                                   \
        X(PLATFORM, "platform", FIELD_OF_S | FIELD_OF_O)                                                     \
        X(CONNECTION_ID, "connectionId", FIELD_OF_S | FIELD_OF_C | FIELD_OF_O)                               \
        X(ACCOUNT_EXTERNAL_ID, "accountExternalId", FIELD_OF_S | FIELD_OF_O)                                 \
        X(EXTERNAL_ID, "externalId", FIELD_OF_S | FIELD_OF_C | FIELD_OF_O)                                   \
        X(PERIOD_START, "periodStart", FIELD_OF_S)                                                           \
        X(PERIOD_END, "periodEnd", FIELD_OF_S)                                                               \
        X(COLLECTED_AT, "collectedAt", FIELD_OF_S)                                                           \
        X(AMOUNT_CENTS, "amountCents", FIELD_OF_S)                                                           \
        X(CURRENCY, "currency", FIELD_OF_S | FIELD_OF_C)                                                     \
        X(IMPRESSIONS, "impressions", FIELD_OF_S)                                                            \
        X(CLICKS, "clicks", FIELD_OF_S)                                                                      \
        X(CONVERSIONS, "conversions", FIELD_OF_S)                                                            \
        X(METRICS, "metrics", FIELD_OF_S)                                                                    \
        X(ID, "id", FIELD_OF_S)                                                                              \
        X(TYPE, "type", FIELD_OF_O)                                                                          \
        X(NAME, "name", FIELD_OF_C | FIELD_OF_O)                                                             \
        X(STATUS, "status", FIELD_OF_O)                                                                      \
        X(PARENT_EXTERNAL_ID, "parentExternalId", FIELD_OF_O)                                                \
        X(PLATFORM_DATA, "platformData", FIELD_OF_O)                                                         \
        X(TIMEZONE, "timezone", FIELD_OF_C)                                                                  \
        X(CLIENT, "client", FIELD_OF_H)                                                                      \
        X(VERSION, "version", FIELD_OF_H)                                                                    \
        X(ON_BEHALF_OF, "onBehalfOf", FIELD_OF_H)

enum field {
#define X(name, text, kinds) FIELD_##name,
        FIELD_MAP(X)
#undef X
                FIELDS
};

enum {
        EXTERNAL_ID_MAX = 255, /* bytes */
};

/* State for finding fields, one per thread. Zeroed before its first use. */
struct field_reader {
        struct json_scratch scratch;
        size_t object_max; /* limit of jsonb's output for an object, in bytes; 0: none */
        uint8_t follows[FIELDS +
                        1]; /* [field]: the field that followed it in an earlier line, a good guess */
};

void field_reader_deinit(struct field_reader *r);

/* The fields of a line, not yet interpreted. Borrows line and reject. */
struct fields {
        enum record_kind kind;
        uint32_t present; /* bit per enum field */
        /* receives the verdict of fields_read and of all functions that read a field */
        struct reject *reject;
        struct json_value values[FIELDS];
};

/* Finds the fields of @line. Returns true if ret->kind is known and the kind has every field of the line;
 * else false, with the verdict in the reject. */
bool fields_read(struct field_reader *r, struct slice line, struct fields *ret, struct reject *ret_reject);

static inline bool fields_have(const struct fields *f, enum field field)
{
        return f->present & 1u << field;
}

/* True if the field is absent or null. */
static inline bool fields_null(const struct fields *f, enum field field)
{
        return !fields_have(f, field) || f->values[field].type == JSON_NULL;
}

/* Rejects the line: @field breaks @rule. The message quotes rule and value. Returns false. */
bool fields_refuse(const struct fields *f, enum reject_code code, enum field field, const char *rule);

/* Each function reads a required field. Returns false if the line is rejected. */
bool fields_platform(const struct fields *f, enum platform *ret);
bool fields_uuid(const struct fields *f, enum field field, struct uuid *ret);
bool fields_currency(const struct fields *f, char ret[3]);

/* As fields_uuid, for a field that may be absent but not null. */
bool fields_optional_uuid(const struct fields *f, enum field field, bool *ret_has, struct uuid *ret);

/* A text of 1 to 255 bytes once decoded. Numbers are rejected: a long id would have lost digits. */
bool fields_external_id(const struct fields *f, enum field field, struct json_string *ret);

/* A text of any length; @rule is the message if the value is not a text. */
bool fields_text(const struct fields *f, enum field field, const char *rule, struct json_string *ret);

/* Microseconds since the Unix epoch. */
bool fields_time(const struct fields *f, enum field field, int64_t *ret);

/* A number or a decimal string, at least @min. */
bool fields_integer(const struct fields *f, enum field field, int64_t min, int64_t *ret);

/* A JSON object that jsonb can hold. @ret_hash may be NULL. */
bool fields_object(const struct fields *f, enum field field, const char *rule, struct slice *ret,
                   XXH128_hash_t *ret_hash);

/* A word of a fixed set, decoded for comparison; the raw text if it is too long for the set. The result may
 * point into @buf. */
enum { FIELDS_WORD_BYTES = 64 };
bool fields_word(const struct fields *f, enum field field, const char *rule, char buf[FIELDS_WORD_BYTES],
                 struct slice *ret);

/* Decodes an external id from fields_external_id to @out with a NUL; the id itself cannot contain one.
 * Returns its length in bytes. */
size_t external_id_decode(struct json_string id, char out[EXTERNAL_ID_MAX + 1]);

#endif
