#include "test.h"

#include "commands/human.h"

static void test_count(void **state)
{
        char text[HUMAN_BYTES];

        (void)state;
        assert_string_equal(human_count(0, text), "0");
        assert_string_equal(human_count(999, text), "999");
        assert_string_equal(human_count(1000, text), "1,000");
        assert_string_equal(human_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

static void test_short(void **state)
{
        static const struct {
                double n;
                const char *text;
        } cases[] = {
                {0, "0"},         {0.04, "0.0"},    {3, "3"},         {0.25, "0.2"},     {9.94, "9.9"},
                {9.96, "10"},     {999.4, "999"},   {1234, "1,234"},  {9999.4, "9,999"}, {9999.6, "10k"},
                {156234, "156k"}, {999499, "999k"}, {999600, "1.0M"}, {1234567, "1.2M"}, {9.96e6, "10M"},
                {2.5e11, "250G"}, {1.2e18, "1.2E"},
        };
        char text[HUMAN_BYTES];

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                assert_string_equal(human_short(cases[i].n, text), cases[i].text);
                assert_true(strlen(text) <= 5);
        }
}

static void test_size(void **state)
{
        char text[HUMAN_BYTES];

        (void)state;
        assert_string_equal(human_size(0, text), "0 B");
        assert_string_equal(human_size(1023, text), "1023 B");
        assert_string_equal(human_size(1024, text), "1.0 KB");
        assert_string_equal(human_size(256.0 * 1024 * 1024, text), "256 MB");
        assert_string_equal(human_size(1023.6 * 1024, text), "1.0 MB");
}

static void test_span(void **state)
{
        static const struct {
                double seconds;
                const char *text;
        } cases[] = {
                {0, "0 ms"},       {0.0003, "0.3 ms"}, {0.029, "29 ms"},   {0.9994, "999 ms"},
                {0.9996, "1.0 s"}, {9.94, "9.9 s"},    {59.9, "60 s"},     {60, "1:00"},
                {125, "2:05"},     {3599.9, "59:59"},  {11045, "3:04:05"}, {12 * 86400 + 11045, "12 d 03:04"},
        };
        char text[HUMAN_BYTES];

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
                assert_string_equal(human_span(cases[i].seconds, text), cases[i].text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_count),
                cmocka_unit_test(test_short),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_span),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
