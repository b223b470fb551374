#ifndef TEST_DECODE_RECORD_H
#define TEST_DECODE_RECORD_H

/* A good record whose fields a test changes one by one. Include test.h first. */

#include <stdio.h>

#include "spending/spending_record.h"

static const struct receipt receipt = {INT64_C(1765432100000001), 7};

/* name, JSON text: the record that every row of the table changes */
static const char *const good[][2] = {
        {"platform", "\"META\""},
        {"accountExternalId", "\"act_1\""},
        {"externalId", "\"6205292946071\""},
        {"periodStart", "\"2020-12-02T08:00:00Z\""},
        {"periodEnd", "\"2020-12-03T08:00:00Z\""},
        {"collectedAt", "\"2020-12-17T00:00:00Z\""},
        {"amountCents", "868"},
        {"currency", "\"USD\""},
        {"impressions", "644"},
        {"clicks", "1"},
        {"conversions", "null"},
        {"metrics", "{\"ctr\":\"0.155280\"}"},
};

/* The good record with @field set to @value: replaced, or added at the end; NULL leaves it out. */
static inline void make_line(char *out, size_t size, const char *field, const char *value)
{
        size_t len = 0;
        int found = 0;

        len += (size_t)snprintf(out + len, size - len, "{");
        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                const char *text = good[i][1];

                if (field && strcmp(good[i][0], field) == 0) {
                        found = 1;
                        text = value;
                }
                if (text)
                        len += (size_t)snprintf(out + len, size - len, "%s\"%s\":%s", len > 1 ? "," : "",
                                                good[i][0], text);
        }
        if (field && !found && value)
                len += (size_t)snprintf(out + len, size - len, ",\"%s\":%s", field, value);
        snprintf(out + len, size - len, "}");
}

static inline int decode(struct slice line, struct spending_record *rec, struct reject *reject)
{
        static struct field_reader reader;
        struct fields fields;
        int ok = fields_read(&reader, line, &fields, reject) && spending_record_read(&fields, receipt, rec);

        field_reader_deinit(&reader);
        return ok;
}

static inline struct spending_record decode_ok(const char *field, const char *value)
{
        static char line[4096]; /* slices of the record point here */
        struct spending_record rec;
        struct reject reject;

        make_line(line, sizeof(line), field, value);
        if (!decode(slice_str(line), &rec, &reject))
                fail_msg("refused: %s: %s", reject.message, line);
        return rec;
}

#endif
