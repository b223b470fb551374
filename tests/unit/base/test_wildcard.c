#include "test.h"

#include "base/wildcard.h"

static void test_matches(void **state)
{
        static const char *const cases[][2] = {
                {"", ""},
                {"*", ""},
                {"*", "act_1"},
                {"act_1", "act_1"},
                {"act_*", "act_"},
                {"act_*", "act_1"},
                {"*_1", "act_1"},
                {"a*t*1", "act_act_1"},
                {"**1", "act_1"},
                {"act_?", "act_1"},
                {"?", "\xc3\xa9"},
                {"a?b", "a\xf0\x9f\x98\x80"
                        "b"},
                {"*?", "\xc3\xa9"},
                {"[1]", "[1]"},
                {"a\\*", "a\\b"},
                {"*aab", "aaaaab"},
                {"a*b*c*d", "abxbcxcd"},
                {"???", "a\xe2\x82\xac"
                        "c"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                if (!wildcard_matches(cases[i][0], cases[i][1]))
                        fail_msg("%s does not match %s", cases[i][0], cases[i][1]);
        }
}

static void test_does_not_match(void **state)
{
        static const char *const cases[][2] = {
                {"", "a"},
                {"?", ""},
                {"act_1", "act_12"},
                {"act_12", "act_1"},
                {"act_[1]", "act_1"},
                {"act_?", "act_"},
                {"??", "\xc3\xa9"},
                {"*_1", "act_12"},
                {"a\\*", "a*"},
                {"ACT_1", "act_1"},
                {"a*b*c*d", "abxbcxc"},
                {"*aab", "aaaaa"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                if (wildcard_matches(cases[i][0], cases[i][1]))
                        fail_msg("%s matches %s", cases[i][0], cases[i][1]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_matches),
                cmocka_unit_test(test_does_not_match),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
