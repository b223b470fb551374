#include "test.h"

#include "base/visible.h"

static void test_nothing_moves_the_cursor(void **state)
{
        static const struct {
                const char *text;
                const char *shown;
        } cases[] = {
                {"Zoë ✓ 😀", "Zoë ✓ 😀"},
                {"a\x1b[31m\n\t\x7f", "a?[31m???"},
                {"\xc2\x9b"
                 "1m\xc2\xa0",
                 "?1m\xc2\xa0"},
                {"\x9b\xff\xc3", "???"},
                {"a\u202e\u2066\u200f\u061c\u2028\ufeff"
                 "b",
                 "a??????b"},
                {"\U000e0041 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
                 "? \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd"},
                {"\xf0\x9f\x98", "???"},
                {"\xe2\x9c"
                 "x",
                 "??x"},
        };
        char text[64];

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
                assert_string_equal(visible_copy(cases[i].text, text, sizeof(text)), cases[i].shown);
}

static void test_cut(void **state)
{
        char text[5];

        (void)state;
        assert_string_equal(visible_copy("abcdef", text, sizeof(text)), "abcd");
        assert_string_equal(visible_copy("abcë", text, sizeof(text)), "abc");
        assert_string_equal(visible_copy("abë", text, sizeof(text)), "abë");
        assert_int_equal(visible_length("abë✓😀"), 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_moves_the_cursor),
                cmocka_unit_test(test_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
