#include "test.h"

#include "base/uuid.h"

static void test_parse_and_format(void **state)
{
        static const char *const bad[] = {"",
                                          "01dee204-efdd-5702-9841-b5bbbec74be",
                                          "01dee204-efdd-5702-9841-b5bbbec74be55",
                                          "01dee204efdd57029841b5bbbec74be5",
                                          "{1dee204-efdd-5702-9841-b5bbbec74be5",
                                          "01dee204-efdd-5702-9841-b5bbbec74beg",
                                          "01dee204-efdd-5702-98410b5bbbec74be5",
                                          "01dee20--efdd-5702-9841-b5bbbec74be5"};
        struct uuid uuid;
        char text[UUID_TEXT_LEN + 1];

        (void)state;
        assert_true(uuid_parse(SLICE_LIT("01DEE204-efdd-5702-9841-b5bbbec74bE5"), &uuid));
        assert_memory_equal(uuid.bytes, "\x01\xde\xe2\x04\xef\xdd\x57\x02\x98\x41\xb5\xbb\xbe\xc7\x4b\xe5",
                            16);
        uuid_format(&uuid, text);
        assert_string_equal(text, "01dee204-efdd-5702-9841-b5bbbec74be5");
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                assert_false(uuid_parse(slice_str(bad[i]), &uuid));
}

/* RFC 9562 section 5.8: version 8 in bits 48 to 51, variant 10 in bits 64 and 65; the rest is ours. */
static void test_v8(void **state)
{
        char text[UUID_TEXT_LEN + 1];
        struct uuid uuid = uuid_v8(0x0123456789ab, UINT64_MAX, UINT64_MAX);

        (void)state;
        uuid_format(&uuid, text);
        assert_string_equal(text, "01234567-89ab-8fff-bfff-ffffffffffff");
        uuid = uuid_v8(-1, 0, 0);
        uuid_format(&uuid, text);
        assert_string_equal(text, "ffffffff-ffff-8000-8000-000000000000");
}

/* Every position of the text must hold a digit or a dash. */
static void test_every_position(void **state)
{
        static const char good[] = "01dee204-efdd-5702-9841-b5bbbec74be5";
        struct uuid uuid;

        (void)state;
        for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
                for (int c = 0; c < 256; c++) {
                        char text[UUID_TEXT_LEN + 1];
                        int is_digit = c && strchr("0123456789abcdefABCDEF", c) != NULL;

                        memcpy(text, good, sizeof(text));
                        text[i] = (char)c;
                        assert_int_equal(uuid_parse((struct slice){text, UUID_TEXT_LEN}, &uuid),
                                         good[i] == '-' ? c == '-' : is_digit);
                }
        }
}

/* A slice's end is its length, not a NUL. */
static void test_parse_reads_no_further(void **state)
{
        static const char text[] = "01dee204-efdd-5702-9841-b5bbbec74be5,";
        char exact[UUID_TEXT_LEN];
        struct uuid uuid;

        (void)state;
        memcpy(exact, text, sizeof(exact));
        assert_true(uuid_parse((struct slice){exact, sizeof(exact)}, &uuid));
        assert_false(uuid_parse((struct slice){exact, sizeof(exact) - 1}, &uuid));
        assert_false(uuid_parse((struct slice){text, sizeof(text) - 1}, &uuid));
        assert_false(uuid_parse((struct slice){NULL, 0}, &uuid));
}

/* Later times have greater ids, in PostgreSQL's order, too, whatever the hash. */
static void test_v8_is_ordered_by_time(void **state)
{
        static const int64_t times[] = {0, 1, 255, 256, 1608163200000, 1608163200001, (INT64_C(1) << 48) - 1};

        (void)state;
        for (size_t i = 1; i < ARRAY_LEN(times); i++) {
                struct uuid earlier = uuid_v8(times[i - 1], UINT64_MAX, UINT64_MAX);
                struct uuid later = uuid_v8(times[i], 0, 0);

                assert_true(memcmp(earlier.bytes, later.bytes, sizeof(later.bytes)) < 0);
        }
}

/* 74 of the hash's bits are kept, each in a place of its own. */
static void test_v8_keeps_the_hash(void **state)
{
        struct uuid none = uuid_v8(0, 0, 0);
        uint8_t seen[16] = {0};
        int kept = 0;

        (void)state;
        for (int bit = 0; bit < 128; bit++) {
                struct uuid one = uuid_v8(0, bit < 64 ? UINT64_C(1) << bit : 0,
                                          bit < 64 ? 0 : UINT64_C(1) << (bit - 64));

                for (size_t i = 0; i < sizeof(seen); i++) {
                        uint8_t changed = one.bytes[i] ^ none.bytes[i];

                        assert_int_equal(seen[i] & changed, 0);
                        seen[i] |= changed;
                        kept += changed != 0;
                }
        }
        assert_int_equal(kept, 74);
}

static void test_eq(void **state)
{
        struct uuid a = uuid_v8(1, 2, 3);

        (void)state;
        for (size_t i = 0; i < sizeof(a.bytes); i++) {
                struct uuid b = a;

                assert_true(uuid_eq(&a, &b));
                b.bytes[i] ^= 1;
                assert_false(uuid_eq(&a, &b));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_and_format),
                cmocka_unit_test(test_every_position),
                cmocka_unit_test(test_parse_reads_no_further),
                cmocka_unit_test(test_v8),
                cmocka_unit_test(test_v8_is_ordered_by_time),
                cmocka_unit_test(test_v8_keeps_the_hash),
                cmocka_unit_test(test_eq),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
