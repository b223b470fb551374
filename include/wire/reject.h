#ifndef REJECT_H
#define REJECT_H

#include "base/slice.h"

/* Why a line was refused: the word on the wire (contract, reject codes), also a metric's label. */
#define REJECT_MAP(X)                                                                                        \
        X(BAD_JSON, "bad_json")                                                                              \
        X(LINE_TOO_LONG, "line_too_long")                                                                    \
        X(UNKNOWN_FIELD, "unknown_field")                                                                    \
        X(MISSING_FIELD, "missing_field")                                                                    \
        X(BAD_TYPE, "bad_type")                                                                              \
        X(BAD_VALUE, "bad_value")                                                                            \
        X(UNKNOWN_ACCOUNT, "unknown_account")                                                                \
        X(AMBIGUOUS_ACCOUNT, "ambiguous_account")                                                            \
        X(UNKNOWN_AD_OBJECT, "unknown_ad_object")                                                            \
        X(REFUSED_BY_DATABASE, "refused_by_database")                                                        \
        X(ID_CONFLICT, "id_conflict")                                                                        \
        X(NOT_PERMITTED, "not_permitted")

enum reject_code {
#define X(name, text) REJECT_##name,
        REJECT_MAP(X)
#undef X
                REJECT_CODES
};

enum {
        REJECT_FIELD_BYTES = 96,
        REJECT_MESSAGE_BYTES = 512,
};

/* A verdict on one line. The texts are valid UTF-8 and hold nothing but what the client sent and the rule. */
struct reject {
        enum reject_code code;
        char field[REJECT_FIELD_BYTES]; /* "" where the reason is no single field's */
        char message[REJECT_MESSAGE_BYTES];
};

const char *reject_code_name(enum reject_code code);

/* Fills @reject; @field may be NULL. A text that is too long is cut, never inside a UTF-8 sequence. */
void reject_set(struct reject *reject, enum reject_code code, const char *field, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

#endif
