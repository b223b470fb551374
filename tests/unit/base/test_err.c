/* Codes and their texts. */
#include "test.h"

#include <limits.h>

#include "base/err.h"

static const struct {
        int err;
        const char *text;
} errors[] = {
#define X(name, text) {ERR_##name, text},
        ERR_MAP(X)
#undef X
};

static void test_codes_are_negative_and_distinct(void **state)
{
        (void)state;
        assert_true(ARRAY_LEN(errors) >= 8);
        for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
                assert_true(errors[i].err < 0);
                for (size_t k = 0; k < i; k++) {
                        assert_int_not_equal(errors[i].err, errors[k].err);
                        assert_string_not_equal(errors[i].text, errors[k].text);
                }
        }
}

static void test_texts(void **state)
{
        static const int unknown[] = {1, INT_MAX, INT_MIN, -(int)ARRAY_LEN(errors) - 1};

        (void)state;
        assert_string_equal(err_str(0), "success");
        assert_string_equal(err_str(ERR_NOMEM), "out of memory");
        assert_string_equal(err_str(ERR_CONFIG), "configuration error");
        for (size_t i = 0; i < ARRAY_LEN(errors); i++)
                assert_string_equal(err_str(errors[i].err), errors[i].text);
        for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
                assert_string_equal(err_str(unknown[i]), "unknown error");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_codes_are_negative_and_distinct),
                cmocka_unit_test(test_texts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
