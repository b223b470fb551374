/* Dates compared with the C library's calendar; test_spending_record.c tests the syntax. */
#include "test.h"

#include <stdio.h>
#include <time.h>

#include "base/rfc3339.h"

static void test_every_day(void **state)
{
        (void)state;
        for (int64_t day = -719162; day <= 2932896; day += 1) { /* 0001-01-01 to 9999-12-31 */
                time_t seconds = (time_t)(day * 86400 + 86399);
                struct tm tm;
                char text[64];
                int64_t us;

                gmtime_r(&seconds, &tm);
                snprintf(text, sizeof(text), "%04d-%02d-%02dT23:59:59.000001Z", tm.tm_year + 1900,
                         tm.tm_mon + 1, tm.tm_mday);
                assert_int_equal(rfc3339_parse(slice_str(text), &us), RFC3339_OK);
                if (us != (int64_t)seconds * 1000000 + 1)
                        fail_msg("%s", text);
        }
}

static void test_format(void **state)
{
        static const char *const texts[] = {"1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.000000Z",
                                            "2026-11-23T10:58:56.123456Z", "2000-02-29T00:00:00.000001Z"};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                char text[RFC3339_TEXT_BYTES];
                int64_t us;

                assert_int_equal(rfc3339_parse(slice_str(texts[i]), &us), RFC3339_OK);
                rfc3339_format(us, text);
                assert_string_equal(text, texts[i]);
        }
}

static void test_offsets(void **state)
{
        int64_t utc;
        int64_t east;
        int64_t west;

        (void)state;
        assert_int_equal(rfc3339_parse(SLICE_LIT("2026-03-01T00:30:00Z"), &utc), RFC3339_OK);
        assert_int_equal(rfc3339_parse(SLICE_LIT("2026-03-01T06:15:00+05:45"), &east), RFC3339_OK);
        assert_int_equal(rfc3339_parse(SLICE_LIT("2026-02-28T21:00:00-03:30"), &west), RFC3339_OK);
        assert_true(utc == east && utc == west);
        assert_int_equal(rfc3339_parse(SLICE_LIT("2026-03-01T00:30:00-00:00"), &west), RFC3339_OK);
        assert_true(utc == west);
}

/* Eight bytes are checked at a time: tests each byte at each position. */
static void test_every_byte(void **state)
{
        static const char good[] = "1969-12-31T23:59:58Z";

        (void)state;
        for (size_t at = 0; at < 19; at++) {
                for (unsigned byte = 0; byte < 256; byte++) {
                        bool digit = byte >= '0' && byte <= '9';
                        bool right = good[at] == 'T'                      ? byte == 'T' || byte == 't'
                                     : good[at] >= '0' && good[at] <= '9' ? digit
                                                                          : byte == (unsigned char)good[at];
                        char text[sizeof(good)];
                        int64_t us;

                        memcpy(text, good, sizeof(good));
                        text[at] = (char)byte;
                        assert_int_equal(rfc3339_parse((struct slice){text, 20}, &us) != RFC3339_SYNTAX,
                                         right);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_day),
                cmocka_unit_test(test_format),
                cmocka_unit_test(test_offsets),
                cmocka_unit_test(test_every_byte),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
