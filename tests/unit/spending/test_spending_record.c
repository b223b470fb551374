/* Every rule of the record, accepted and rejected, in one table: each line is a good record with one field
 * replaced, added or left out. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "decode_record.h"

static const struct {
        const char *field;
        const char *value;
        const char *code; /* NULL: accepted */
} cases[] = {
        {NULL, NULL, NULL},
        /* kind */
        {"kind", "\"spending\"", NULL},
        {"kind", "\"sp\\u0065nding\"", NULL},
        {"kind", "\"Spending\"", "bad_value"},
        {"kind", "null", "bad_type"},
        /* platform */
        {"platform", "\"GOOGLE_ADS\"", NULL},
        {"platform", "\"TIKTOK\"", NULL},
        {"platform", "\"meta\"", "bad_value"},
        {"platform", "\"\"", "bad_value"},
        {"platform", "1", "bad_type"},
        {"platform", "null", "bad_type"},
        {"platform", NULL, "missing_field"},
        /* connectionId, id */
        {"connectionId", "\"01dee204-efdd-5702-9841-b5bbbec74be5\"", NULL},
        {"connectionId", "\"01DEE204-EFDD-5702-9841-B5BBBEC74BE5\"", NULL},
        {"connectionId", "\"01dee204efdd57029841b5bbbec74be5\"", "bad_value"},
        {"connectionId", "\"01dee204-efdd-5702-9841-b5bbbec74beg\"", "bad_value"},
        {"connectionId", "null", "bad_type"},
        {"connectionId", "7", "bad_type"},
        {"id", "\"01dee204-efdd-5702-9841-b5bbbec74be5\"", NULL},
        {"id", "\"\"", "bad_value"},
        {"id", "null", "bad_type"},
        /* external ids */
        {"accountExternalId", "\"\"", "bad_value"},
        {"accountExternalId", "1700252260223815", "bad_type"},
        {"accountExternalId", NULL, "missing_field"},
        {"externalId", "\"x\"", NULL},
        {"externalId", "\"\\ud83d\\ude00\"", NULL},
        {"externalId", "\"\"", "bad_value"},
        {"externalId", "7340000000000000001", "bad_type"},
        {"externalId", "null", "bad_type"},
        {"externalId", "\"a\\u0000b\"", "bad_value"},
        {"externalId", "\"\\ud800\"", "bad_value"},
        {"externalId", "\"\\udc00\\ud800\"", "bad_value"},
        {"externalId", "\"\\ud800\\u0041\"", "bad_value"},
        {"externalId", "\"\xff\"", "bad_json"},
        {"externalId", "\"\xc0\x80\"", "bad_json"},
        {"externalId", "\"\xed\xa0\x80\"", "bad_json"},
        {"externalId", "\"\xf4\x90\x80\x80\"", "bad_json"},
        {"externalId", "\"\xe2\x82\"", "bad_json"},
        {"externalId", "\"tab\there\"", "bad_json"},
        {"externalId", "\"\\x41\"", "bad_json"},
        {"externalId", "\"\\u12g4\"", "bad_json"},
        {"externalId", NULL, "missing_field"},
        /* times */
        {"periodStart", "\"2020-12-02T08:00:00+00:00\"", NULL},
        {"periodStart", "\"2020-12-02T08:00:00.5-05:30\"", NULL},
        {"periodStart", "\"2020-12-02T08:00:00.123456Z\"", NULL},
        {"periodStart", "\"2020-12-02t08:00:00z\"", NULL},
        {"periodStart", "\"2020-02-29T00:00:00Z\"", NULL},
        {"periodStart", "\"0001-01-01T00:00:00Z\"", NULL},
        {"periodStart", "\"2020-12-02T08:00:00.1234567Z\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00:00\"", "bad_value"},
        {"periodStart", "\"2020-12-02 08:00:00Z\"", "bad_value"},
        {"periodStart", "\"2020-12-02\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00Z\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00:00.Z\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00:00+0100\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00:00+16:00\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00:00+01:60\"", "bad_value"},
        {"periodStart", "\"2020-12-02T08:00:00Zx\"", "bad_value"},
        {"periodStart", "\"2020-13-01T00:00:00Z\"", "bad_value"},
        {"periodStart", "\"2020-00-01T00:00:00Z\"", "bad_value"},
        {"periodStart", "\"2020-04-31T00:00:00Z\"", "bad_value"},
        {"periodStart", "\"2019-02-29T00:00:00Z\"", "bad_value"},
        {"periodStart", "\"1900-02-29T00:00:00Z\"", "bad_value"},
        {"periodStart", "\"2016-12-31T23:59:60Z\"", "bad_value"},
        {"periodStart", "\"2020-12-02T24:00:00Z\"", "bad_value"},
        {"periodStart", "\"0000-01-01T00:00:00Z\"", "bad_value"},
        {"periodStart", "\"-020-12-02T08:00:00Z\"", "bad_value"},
        {"periodStart", "\"\"", "bad_value"},
        {"periodStart", "1606896000", "bad_type"},
        {"periodStart", "null", "bad_type"},
        {"periodStart", NULL, "missing_field"},
        {"periodEnd", "\"9999-12-31T23:59:59.999999Z\"", NULL},
        {"periodEnd", "\"2020-12-02T08:00:00.000001Z\"", NULL},
        {"periodEnd", "\"2020-12-02T08:00:00Z\"", "bad_value"},
        {"periodEnd", "\"2020-12-02T07:00:00Z\"", "bad_value"},
        {"periodEnd", NULL, "missing_field"},
        {"collectedAt", NULL, NULL},
        {"collectedAt", "null", "bad_type"},
        {"collectedAt", "\"now\"", "bad_value"},
        /* integers */
        {"amountCents", "0", NULL},
        {"amountCents", "-0", NULL},
        {"amountCents", "-120", NULL},
        {"amountCents", "3.0", NULL},
        {"amountCents", "3e0", NULL},
        {"amountCents", "0.3e1", NULL},
        {"amountCents", "300e-2", NULL},
        {"amountCents", "0e999999999999", NULL},
        {"amountCents", "9007199254740991", NULL},
        {"amountCents", "-9007199254740991", NULL},
        {"amountCents", "\"9223372036854775807\"", NULL},
        {"amountCents", "\"-9223372036854775808\"", NULL},
        {"amountCents", "\"-0\"", NULL},
        {"amountCents", "9007199254740992", "bad_value"},
        {"amountCents", "-9007199254740992", "bad_value"},
        {"amountCents", "1e400", "bad_value"},
        {"amountCents", "12.5", "bad_value"},
        {"amountCents", "1e-1", "bad_value"},
        {"amountCents", "1e-999999999999", "bad_value"},
        {"amountCents", "\"9223372036854775808\"", "bad_value"},
        {"amountCents", "\"-9223372036854775809\"", "bad_value"},
        {"amountCents", "\"99999999999999999999999\"", "bad_value"},
        {"amountCents", "\"12.0\"", "bad_value"},
        {"amountCents", "\"1e3\"", "bad_value"},
        {"amountCents", "\"+1\"", "bad_value"},
        {"amountCents", "\" 1\"", "bad_value"},
        {"amountCents", "\"007\"", "bad_value"},
        {"amountCents", "\"-\"", "bad_value"},
        {"amountCents", "\"\"", "bad_value"},
        {"amountCents", "true", "bad_type"},
        {"amountCents", "{}", "bad_type"},
        {"amountCents", "null", "bad_type"},
        {"amountCents", NULL, "missing_field"},
        {"amountCents", "01", "bad_json"},
        {"amountCents", "+1", "bad_json"},
        {"amountCents", "1.", "bad_json"},
        {"amountCents", ".5", "bad_json"},
        {"amountCents", "1e", "bad_json"},
        {"amountCents", "-", "bad_json"},
        {"amountCents", "NaN", "bad_json"},
        {"amountCents", "Infinity", "bad_json"},
        {"amountCents", "0x10", "bad_json"},
        {"impressions", NULL, NULL},
        {"impressions", "null", NULL},
        {"impressions", "\"9223372036854775807\"", NULL},
        {"impressions", "-1", "bad_value"},
        {"impressions", "\"-1\"", "bad_value"},
        {"impressions", "1.5", "bad_value"},
        {"impressions", "[]", "bad_type"},
        {"clicks", "700", NULL},
        {"clicks", "false", "bad_type"},
        {"conversions", "15.295535", "bad_value"},
        {"conversions", "9000", NULL},
        /* currency */
        {"currency", "\"EUR\"", NULL},
        {"currency", "\"\\u0045UR\"", NULL},
        {"currency", "\"eur\"", "bad_value"},
        {"currency", "\"EURO\"", "bad_value"},
        {"currency", "\"E1R\"", "bad_value"},
        {"currency", "\"\"", "bad_value"},
        {"currency", "null", "bad_type"},
        {"currency", NULL, "missing_field"},
        /* metrics */
        {"metrics", NULL, NULL},
        {"metrics", "null", NULL},
        {"metrics", "{}", NULL},
        {"metrics", " { \"a\" : [ 1 , {\"a\":1} , \"\\n\" ] , \"b\" : null } ", NULL},
        {"metrics", "{\"n\":12345678901234567890.123456789}", NULL},
        {"metrics", "{\"n\":1E400}", NULL},
        {"metrics", "{\"n\":1e131071}", NULL},
        {"metrics", "{\"n\":1e-16383}", NULL},
        {"metrics", "{\"n\":0e131072}", NULL},
        {"metrics", "{\"n\":1e131072}", "bad_value"},
        {"metrics", "{\"n\":12e131071}", "bad_value"},
        {"metrics", "{\"n\":1e-16384}", "bad_value"},
        {"metrics", "{\"n\":1e99999999999999999999}", "bad_value"},
        {"metrics", "{\"s\":\"\\u0000\"}", "bad_value"},
        {"metrics", "{\"s\":\"\\udead\"}", "bad_value"},
        {"metrics", "{\"\\u0000\":1}", "bad_value"},
        {"metrics", "{\"a\":1,\"a\":2}", "bad_json"},
        {"metrics", "{\"a\":1,\"\\u0061\":2}", "bad_json"},
        {"metrics", "{\"x\":{\"b\":[{\"a\":1,\"b\":1,\"a\":2}]}}", "bad_json"},
        {"metrics", "{\"a\":1,}", "bad_json"},
        {"metrics", "{\"a\":[1,]}", "bad_json"},
        {"metrics", "{\"a\":[1 2]}", "bad_json"},
        {"metrics", "{a:1}", "bad_json"},
        {"metrics", "{'a':1}", "bad_json"},
        {"metrics", "{\"a\":tru}", "bad_json"},
        {"metrics", "{\"a\":1", "bad_json"},
        {"metrics", "[]", "bad_type"},
        {"metrics", "\"{}\"", "bad_type"},
        {"metrics", "1", "bad_type"},
        /* unknown fields */
        {"amount_cents", "1", "unknown_field"},
        {"Platform", "\"META\"", "unknown_field"},
        {"", "1", "unknown_field"},
        {"\\u0069d", "\"01dee204-efdd-5702-9841-b5bbbec74be5\"", NULL},
        /* the same key twice */
        {"\\u0063licks", "1", "bad_json"},
};

static void test_every_rule(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct spending_record rec;
                struct reject reject;
                char line[2048];
                int ok;

                make_line(line, sizeof(line), cases[i].field, cases[i].value);
                ok = decode(slice_str(line), &rec, &reject);
                if (ok && cases[i].code)
                        fail_msg("accepted, not %s: %s", cases[i].code, line);
                if (!ok && !cases[i].code)
                        fail_msg("refused as %s (%s): %s", reject_code_name(reject.code), reject.message,
                                 line);
                if (ok)
                        continue;
                if (strcmp(reject_code_name(reject.code), cases[i].code) != 0)
                        fail_msg("%s (%s), not %s: %s", reject_code_name(reject.code), reject.message,
                                 cases[i].code, line);
                if (reject.code != REJECT_BAD_JSON)
                        assert_string_equal(reject.field, cases[i].field);
                assert_true(strlen(reject.message) > 10);
        }
}

static void test_lines_that_are_no_records(void **state)
{
        static const struct {
                const char *line;
                const char *code;
        } lines[] = {
                {" ", "bad_json"},
                {"{", "bad_json"},
                {"{}", "missing_field"},
                {"[]", "bad_type"},
                {"null", "bad_type"},
                {"\"x\"", "bad_type"},
                {"1", "bad_type"},
                {"hello", "bad_json"},
                {"{\"platform\"}", "bad_json"},
                {"{\"platform\":}", "bad_json"},
                {"{} {}", "bad_json"},
                {"{}x", "bad_json"},
                {"\xef\xbb\xbf{}", "bad_json"},
                {"[1", "bad_json"},
                {"{\"a\":1}}", "bad_json"},
                {"{,}", "bad_json"},
                {"{\"a\" 1}", "bad_json"},
                {"{\"zzz\":1,\"zzz", "bad_json"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
                struct spending_record rec;
                struct reject reject;

                if (decode(slice_str(lines[i].line), &rec, &reject))
                        fail_msg("accepted: %s", lines[i].line);
                if (strcmp(reject_code_name(reject.code), lines[i].code) != 0)
                        fail_msg("%s, not %s: %s", reject_code_name(reject.code), lines[i].code,
                                 lines[i].line);
        }
}

static void test_external_id_lengths(void **state)
{
        static const struct {
                size_t bytes;
                const char *unit; /* repeated; counts as unit_bytes decoded */
                size_t unit_bytes;
                int ok;
        } ids[] = {
                {255, "x", 1, 1},
                {256, "x", 1, 0},
                {254, "\xc3\xa9", 2, 1},
                {256, "\xc3\xa9", 2, 0},
                {255, "\\u0041", 1, 1},
                {256, "\\u0041", 1, 0},
                {252, "\\ud83d\\ude00", 4, 1},
                {5000, "x", 1, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
                static char value[16384];
                static char line[20000];
                struct spending_record rec;
                struct reject reject;

                strcpy(value, "\"");
                for (size_t n = 0; n < ids[i].bytes; n += ids[i].unit_bytes)
                        strcat(value, ids[i].unit);
                strcat(value, "\"");
                make_line(line, sizeof(line), "externalId", value);
                assert_int_equal(decode(slice_str(line), &rec, &reject), ids[i].ok);
                if (!ids[i].ok)
                        assert_int_equal(reject.code, REJECT_BAD_VALUE);
        }
}

static void test_nesting_depth(void **state)
{
        (void)state;
        for (int depth = JSON_MAX_DEPTH - 1; depth <= JSON_MAX_DEPTH + 2; depth++) {
                static char value[4096];
                static char line[8192];
                struct spending_record rec;
                struct reject reject;
                int ok;

                strcpy(value, "{\"a\":"); /* the first level */
                for (int i = 1; i < depth; i++)
                        strcat(value, "[");
                for (int i = 1; i < depth; i++)
                        strcat(value, "]");
                strcat(value, "}");
                make_line(line, sizeof(line), "metrics", value);
                ok = decode(slice_str(line), &rec, &reject);
                assert_int_equal(ok, depth <= JSON_MAX_DEPTH);
                if (!ok)
                        assert_int_equal(reject.code, REJECT_BAD_VALUE);
        }
}

static void test_duplicate_among_many_keys(void **state)
{
        static char value[100000];
        static char line[110000];
        struct spending_record rec;
        struct reject reject;

        (void)state;
        for (int twice = 0; twice < 2; twice++) {
                size_t len = 0;

                len += (size_t)snprintf(value, sizeof(value), "{\"k4999\":0");
                for (int i = 0; i < 4999 + twice; i++)
                        len += (size_t)snprintf(value + len, sizeof(value) - len, ",\"k%d\":%d", i, i);
                snprintf(value + len, sizeof(value) - len, "}");
                make_line(line, sizeof(line), "metrics", value);
                assert_int_equal(decode(slice_str(line), &rec, &reject), !twice);
        }
        assert_int_equal(reject.code, REJECT_BAD_JSON);
}

static void test_values(void **state)
{
        struct spending_record rec = decode_ok(NULL, NULL);

        (void)state;
        assert_int_equal(rec.platform, PLATFORM_META);
        assert_true(slice_eq(rec.account_external_id.raw, SLICE_LIT("act_1")));
        assert_true(slice_eq(rec.external_id.raw, SLICE_LIT("6205292946071")));
        assert_true(rec.period_start == INT64_C(1606896000000000));
        assert_true(rec.period_end == INT64_C(1606982400000000));
        assert_true(rec.collected_at == INT64_C(1608163200000000));
        assert_true(rec.amount_cents == 868);
        assert_memory_equal(rec.currency, "USD", 3);
        assert_true(rec.impressions == 644 && rec.clicks == 1);
        assert_int_equal(rec.nulls, RECORD_NULL_CONVERSIONS);
        assert_true(slice_eq(rec.metrics, SLICE_LIT("{\"ctr\":\"0.155280\"}")));
        assert_false(rec.has_id);

        assert_true(decode_ok("collectedAt", NULL).collected_at == receipt.us);
        assert_true(decode_ok("amountCents", "-120").amount_cents == -120);
        assert_true(decode_ok("amountCents", "12.5e1").amount_cents == 125);
        assert_true(decode_ok("amountCents", "1200e-2").amount_cents == 12);
        assert_true(decode_ok("amountCents", "9007199254740991").amount_cents == INT64_C(9007199254740991));
        assert_true(decode_ok("amountCents", "90071992547409910e-1").amount_cents ==
                    INT64_C(9007199254740991));
        assert_true(decode_ok("amountCents", "\"-9223372036854775808\"").amount_cents == INT64_MIN);
        assert_true(decode_ok("amountCents", "\"9223372036854775807\"").amount_cents == INT64_MAX);
        assert_int_equal(decode_ok("metrics", "null").nulls, RECORD_NULL_CONVERSIONS | RECORD_NULL_METRICS);
        assert_true(decode_ok("periodStart", "\"2020-12-02T10:00:00.25+02:00\"").period_start ==
                    INT64_C(1606896000250000));
        assert_true(decode_ok("periodStart", "\"0001-01-01T00:00:00Z\"").period_start ==
                    INT64_C(-62135596800000000));
}

static void test_only_the_first_fault_is_reported(void **state)
{
        struct spending_record rec;
        struct reject reject;

        (void)state;
        /* broken JSON comes first, then unknown fields, then the fields in their order */
        assert_false(decode(SLICE_LIT("{\"nope\":1,\"platform\":7,\"x\":}"), &rec, &reject));
        assert_int_equal(reject.code, REJECT_BAD_JSON);
        assert_non_null(strstr(reject.message, "byte 28"));
        assert_false(decode(SLICE_LIT("{\"platform\":7,\"nope\":1,\"nope2\":2}"), &rec, &reject));
        assert_int_equal(reject.code, REJECT_UNKNOWN_FIELD);
        assert_string_equal(reject.field, "nope");
        /* a name that is not readable text is quoted as it was sent */
        assert_false(decode(SLICE_LIT("{\"platform\\u0000\":1}"), &rec, &reject));
        assert_string_equal(reject.field, "platform\\u0000");
        assert_false(decode(SLICE_LIT("{\"\\udc00\\ud800x\":1}"), &rec, &reject));
        assert_string_equal(reject.field, "\\udc00\\ud800x");
        assert_false(decode(SLICE_LIT("{\"\\ud83d\\ude00\\u00e9\":1}"), &rec, &reject));
        assert_string_equal(reject.field, "\xf0\x9f\x98\x80\xc3\xa9");
        assert_false(decode(SLICE_LIT("{\"\":1}"), &rec, &reject));
        assert_int_equal(reject.code, REJECT_UNKNOWN_FIELD);
        assert_string_equal(reject.message, "a spending record has no field without a name");
        assert_false(decode(SLICE_LIT("{\"currency\":7,\"platform\":7}"), &rec, &reject));
        assert_string_equal(reject.field, "platform");
        assert_string_equal(reject.message, "platform must be \"META\", \"GOOGLE_ADS\" or \"TIKTOK\", not 7");
}

/* A long value is quoted cut, between characters. */
static void test_long_values_are_cut(void **state)
{
        static char value[4000];
        static char line[8000];
        struct spending_record rec;
        struct reject reject;

        (void)state;
        strcpy(value, "\"");
        for (int i = 0; i < 500; i++)
                strcat(value, "\xf0\x9f\x98\x80");
        strcat(value, "\"");
        make_line(line, sizeof(line), "currency", value);
        assert_false(decode(slice_str(line), &rec, &reject));
        assert_true(strlen(reject.message) < 200);
        assert_non_null(strstr(reject.message, "\xf0\x9f\x98\x80...\""));
}

static void test_leading_zeros_are_named(void **state)
{
        static const char *const values[] = {"\"0001\"", "\"000000000000000000000000000001\"", "\"-01\"",
                                             "0001",     "000000000000000000000000000001",     "-01"};
        static char line[8000];
        struct spending_record rec;
        struct reject reject;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
                make_line(line, sizeof(line), "amountCents", values[i]);
                assert_false(decode(slice_str(line), &rec, &reject));
                assert_string_equal(reject.field, "amountCents");
                assert_non_null(strstr(reject.message, "leading zeros"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_rule),
                cmocka_unit_test(test_lines_that_are_no_records),
                cmocka_unit_test(test_external_id_lengths),
                cmocka_unit_test(test_nesting_depth),
                cmocka_unit_test(test_duplicate_among_many_keys),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_only_the_first_fault_is_reported),
                cmocka_unit_test(test_long_values_are_cut),
                cmocka_unit_test(test_leading_zeros_are_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
