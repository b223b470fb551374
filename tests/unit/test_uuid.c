#include "test.h"

#include "uuid.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_and_format),
                cmocka_unit_test(test_v8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
