/* Numbers on their own; test_spending_record.c tests the numbers of fields. */
#include "test.h"

#include <stdlib.h>

#include "base/json_number.h"

/* Returns the position after the number at the start of @text, or -1 if it is not a short number; memory
 * ends where the text ends. */
static ptrdiff_t read_short(const char *text, int64_t *ret)
{
        size_t len = strlen(text);
        char *copy = malloc(len ? len : 1);
        const char *end;
        ptrdiff_t used;

        assert_non_null(copy);
        memcpy(copy, text, len);
        end = json_number_read_short(copy, copy + len, ret);
        used = end ? end - copy : -1;
        free(copy);
        return used;
}

static void test_short(void **state)
{
        static const struct {
                const char *text;
                ptrdiff_t used;
                int64_t value;
        } cases[] = {
                {"0", 1, 0},
                {"7", 1, 7},
                {"-7", 2, -7},
                {"10,", 2, 10},
                {"12 }", 2, 12},
                {"123456789012345", 15, 123456789012345},
                {"-999999999999999", 16, -999999999999999},
                {"999999999999999x", 15, 999999999999999}, /* what follows is not the number's concern */
                {"", -1, 0},
                {"-", -1, 0},
                {"-0", -1, 0}, /* jsonb stores 0 */
                {"00", -1, 0},
                {"01", -1, 0},
                {"-01", -1, 0},
                {"1.0", -1, 0},
                {"1e2", -1, 0},
                {"1E2", -1, 0},
                {"1234567890123456", -1, 0},
                {"x", -1, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                int64_t value = 0;

                assert_int_equal(read_short(cases[i].text, &value), cases[i].used);
                if (cases[i].used > 0)
                        assert_int_equal(value, cases[i].value);
        }
}

static void test_integer(void **state)
{
        static const struct {
                const char *text;
                enum json_integer result;
                int64_t value;
        } cases[] = {
                {"0", JSON_INTEGER_OK, 0},
                {"-0", JSON_INTEGER_OK, 0},
                {"0.000e-999999999", JSON_INTEGER_OK, 0},
                {"3.0", JSON_INTEGER_OK, 3},
                {"3e0", JSON_INTEGER_OK, 3},
                {"0.003E+3", JSON_INTEGER_OK, 3},
                {"-1200.00e-2", JSON_INTEGER_OK, -12},
                {"9007199254740991", JSON_INTEGER_OK, 9007199254740991},
                {"-9007199254740991", JSON_INTEGER_OK, -9007199254740991},
                {"900719925474099.1e1", JSON_INTEGER_OK, 9007199254740991},
                {"90071992547409910e-1", JSON_INTEGER_OK, 9007199254740991},
                {"9007199254740992", JSON_INTEGER_RANGE, 0},
                {"1e15", JSON_INTEGER_OK, 1000000000000000},
                {"1e16", JSON_INTEGER_RANGE, 0},
                {"1e999999999999999999999", JSON_INTEGER_RANGE, 0},
                {"123456789012345678901234567890", JSON_INTEGER_RANGE, 0},
                {"0.5", JSON_INTEGER_FRACTION, 0},
                {"9007199254740991.5", JSON_INTEGER_FRACTION, 0},
                {"1e-1", JSON_INTEGER_FRACTION, 0},
                {"1e-999999999999999999999", JSON_INTEGER_FRACTION, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct slice text = slice_str(cases[i].text);
                const char *p = text.ptr;
                const char *error = NULL;
                struct json_number n;
                int64_t value = 0;

                assert_true(json_number_read(&p, text.ptr + text.len, &n, &error));
                assert_null(error);
                assert_ptr_equal(p, text.ptr + text.len);
                assert_int_equal(json_number_integer(&n, &value), cases[i].result);
                assert_int_equal(value, cases[i].value);
        }
}

/* The output of PostgreSQL's numeric; see length() in integration/test_metrics. */
static void test_text_len(void **state)
{
        static const struct {
                const char *text;
                size_t len;
        } cases[] = {
                {"0", 1},
                {"-0", 1},
                {"0e5", 1},
                {"-0.0e1", 1},
                {"0e-3", 5},
                {"-0.0e-1", 4},
                {"1e3", 4},
                {"-1e3", 5},
                {"1.5e3", 4},
                {"1.50e1", 4},
                {"0.001e3", 1},
                {"0.0015e3", 3},
                {"123e-2", 4},
                {"123e-3", 5},
                {"123e-5", 7},
                {"-12.5e-1", 5},
                {"1e131071", 131072},
                {"-1e131071", 131073},
                {"1e-16383", 16385},
                {"0e-16383", 16385},
                {"9.99e-16381", 16385},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                const char *p = cases[i].text;
                struct json_number n;
                const char *error;

                assert_true(json_number_read(&p, p + strlen(p), &n, &error));
                assert_true(json_number_fits_numeric(&n));
                if (json_number_text_len(&n) != cases[i].len)
                        fail_msg("%s: %zu bytes", cases[i].text, json_number_text_len(&n));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_len),
                cmocka_unit_test(test_short),
                cmocka_unit_test(test_integer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
