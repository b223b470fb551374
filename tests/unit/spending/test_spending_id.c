/* The ids of records that have none of their own. */
#include "test.h"

#include <stdio.h>

#include "decode_record.h"

static struct uuid id_of(const char *field, const char *value)
{
        struct spending_record rec = decode_ok(field, value);

        memset(&rec.ad_object_id, 7, sizeof(rec.ad_object_id));
        spending_record_derive_id(&rec);
        return rec.id;
}

static const char *shown(const char *text)
{
        return text ? text : "(none)";
}

static void assert_same_id(const char *field, const char *value, const char *field2, const char *value2,
                           int same)
{
        struct uuid a = id_of(field, value);
        struct uuid b = id_of(field2, value2);

        if (uuid_eq(&a, &b) != (same != 0))
                fail_msg("%s=%s and %s=%s: ids %s", shown(field), shown(value), shown(field2), shown(value2),
                         same ? "differ" : "are the same");
}

static void test_derived_ids(void **state)
{
        static const char *const different[][2] = {
                {"periodStart", "\"2020-12-02T08:00:00.000001Z\""},
                {"periodEnd", "\"2020-12-03T09:00:00Z\""},
                {"collectedAt", "\"2020-12-17T00:00:00.000001Z\""},
                {"amountCents", "869"},
                {"currency", "\"EUR\""},
                {"impressions", "645"},
                {"impressions", "null"},
                {"clicks", "0"},
                {"conversions", "0"},
                {"metrics", "null"},
                {"metrics", "{}"},
                {"metrics", "{\"ctr\":\"0.155281\"}"},
                {"metrics", "{\"ctr\":0.155280}"},
                {"metrics", "{\"ctR\":\"0.155280\"}"},
                {"metrics", "{\"ctr\":[\"0.155280\"]}"},
        };
        struct uuid id = id_of(NULL, NULL);
        struct uuid id2;
        struct spending_record rec = decode_ok(NULL, NULL);

        (void)state;
        assert_int_equal(id.bytes[6] >> 4, 8);
        assert_int_equal(id.bytes[8] >> 6, 2);
        /* begins with 1608163200000 ms */
        assert_memory_equal(id.bytes, "\x01\x76\x6d\xff\x0c\x00", 6);
        for (size_t i = 0; i < ARRAY_LEN(different); i++)
                assert_same_id(NULL, NULL, different[i][0], different[i][1], 0);
        /* of two ad objects */
        rec.ad_object_id = (struct uuid){{42}};
        spending_record_derive_id(&rec);
        assert_false(uuid_eq(&rec.id, &id));
        /* values that jsonb stores alike make the same record */
        assert_same_id("amountCents", "868.0", NULL, NULL, 1);
        assert_same_id("periodStart", "\"2020-12-02T09:00:00+01:00\"", NULL, NULL, 1);
        assert_same_id("metrics", "{ \"ctr\" : \"0.1\\u00355280\" }", NULL, NULL, 1);
        assert_same_id("metrics", "{\"a\":1,\"b\":[{\"c\":2,\"d\":3}]}", "metrics",
                       "{\"b\":[{\"d\":3,\"c\":2}],\"a\":1}", 1);
        assert_same_id("metrics", "{\"a\":[1,2]}", "metrics", "{\"a\":[2,1]}", 0);
        assert_same_id("metrics", "{\"a\":[[],1]}", "metrics", "{\"a\":[[1]]}", 0);
        assert_same_id("metrics", "{\"a\":1.0}", "metrics", "{\"a\":1}", 0);
        assert_same_id("metrics", "{\"a\":true}", "metrics", "{\"a\":\"true\"}", 0);
        /* the client's own */
        id2 = id_of("id", "\"01dee204-efdd-5702-9841-b5bbbec74be5\"");
        assert_memory_equal(id2.bytes, "\x01\xde\xe2\x04", 4);
}

/* A record sent twice is two records, unless it contains collectedAt. */
static void test_receipts_and_ids(void **state)
{
        struct spending_record first = decode_ok("collectedAt", NULL);
        struct spending_record again = first;
        struct spending_record dated = decode_ok(NULL, NULL);

        (void)state;
        assert_true(first.receipt == receipt.number);
        assert_true(dated.receipt == 0);
        again.receipt++;
        spending_record_derive_id(&first);
        spending_record_derive_id(&again);
        assert_false(uuid_eq(&first.id, &again.id));
        /* both begin with the moment of receipt */
        assert_memory_equal(first.id.bytes, again.id.bytes, 6);
}

static void test_numbers_in_metrics_and_ids(void **state)
{
        /* numeric prints all texts of a line as the first one */
        static const char *const alike[][4] = {
                {"100", "1e2", "1E+2", "0.1e3"},
                {"0", "-0", "0e5", "-0.0e1"},
                {"0.0", "-0.0", "0e-1", "0.00e1"},
                {"1.0", "0.10e1", "10e-1", "0.010E2"},
                {"1.00", "100e-2", "0.100e1", "1.00e0"},
                {"-0.0025", "-25e-4", "-0.25e-2", "-2.5e-3"},
                {"123.45", "12345e-2", "1.2345e2", "0.0012345e5"},
                {"-1000000", "-1e6", "-1000000e0", "-0.001e9"},
        };
        char digits[2][1200];
        char value[2][1300];

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(alike); i++) {
                for (size_t k = 0; k < ARRAY_LEN(alike); k++) {
                        for (size_t n = 0; n < 4; n++) {
                                snprintf(value[0], sizeof(value[0]), "{\"a\":%s}", alike[i][0]);
                                snprintf(value[1], sizeof(value[1]), "{\"a\":%s}", alike[k][n]);
                                assert_same_id("metrics", value[0], "metrics", value[1], i == k);
                        }
                }
        }
        /* short and long, whatever their length is */
        for (int zeros = 390; zeros <= 1000; zeros += zeros < 410 ? 1 : 295) {
                memset(digits[0], '0', (size_t)zeros);
                digits[0][zeros] = '\0';
                snprintf(value[0], sizeof(value[0]), "{\"a\":-2%s}", digits[0]);
                snprintf(value[1], sizeof(value[1]), "{\"a\":-0.2e%d}", zeros + 1);
                assert_same_id("metrics", value[0], "metrics", value[1], 1);
                snprintf(value[1], sizeof(value[1]), "{\"a\":-2e%d}", zeros + 1);
                assert_same_id("metrics", value[0], "metrics", value[1], 0);
                snprintf(value[0], sizeof(value[0]), "{\"a\":0.%s3}", digits[0]);
                snprintf(value[1], sizeof(value[1]), "{\"a\":30e-%d}", zeros + 2);
                assert_same_id("metrics", value[0], "metrics", value[1], 0); /* one digit more */
                snprintf(value[1], sizeof(value[1]), "{\"a\":3e-%d}", zeros + 1);
                assert_same_id("metrics", value[0], "metrics", value[1], 1);
                snprintf(value[0], sizeof(value[0]), "{\"a\":0.%s}", digits[0]);
                snprintf(value[1], sizeof(value[1]), "{\"a\":-0e-%d}", zeros);
                assert_same_id("metrics", value[0], "metrics", value[1], 1);
        }
}

/* A value that must never change: ids of stored rows depend on it. */
static void test_derived_id_is_stable(void **state)
{
        struct uuid id = id_of(NULL, NULL);
        char text[UUID_TEXT_LEN + 1];

        (void)state;
        uuid_format(&id, text);
        assert_string_equal(text, "01766dff-0c00-89fd-85d9-1d5a5ff04a30");
        id = id_of("metrics", "{\"a\":[1.50,-100,0],\"b\":-0.001}");
        uuid_format(&id, text);
        assert_string_equal(text, "01766dff-0c00-8967-8bd0-62c14e87ab2f");
}

static void test_any_time(void **state)
{
        static char line[2048];
        struct spending_record rec = decode_ok("id", "\"01dee204-efdd-5702-9841-b5bbbec74be5\"");
        struct reject reject;

        (void)state;
        assert_true(rec.has_id);
        assert_false(rec.any_time);
        snprintf(
                line, sizeof(line),
                "{\"id\":\"01dee204-efdd-5702-9841-b5bbbec74be5\",\"platform\":\"META\",\"accountExternalId\":\"1\","
                "\"externalId\":\"2\",\"periodStart\":\"2020-12-02T08:00:00Z\",\"periodEnd\":\"2020-12-03T08:00:00Z\","
                "\"amountCents\":1,\"currency\":\"USD\"}");
        assert_true(decode(slice_str(line), &rec, &reject));
        assert_true(rec.any_time);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_derived_ids),
                cmocka_unit_test(test_receipts_and_ids),
                cmocka_unit_test(test_numbers_in_metrics_and_ids),
                cmocka_unit_test(test_derived_id_is_stable),
                cmocka_unit_test(test_any_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
