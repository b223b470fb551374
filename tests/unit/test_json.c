/* The reader by itself; what becomes of a record's fields is test_record.c's. */
#include "test.h"

#include <stdlib.h>

#include "json.h"

static void test_decode(void **state)
{
        static const struct {
                const char *raw;
                const char *decoded;
        } cases[] = {
                {"", ""},
                {"plain", "plain"},
                {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
                {"\\u0041\\u00e9\\u20ac\\ud83d\\ude00", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
                {"\\uFFFF\\uD7ff", "\xef\xbf\xbf\xed\x9f\xbf"},
                {"\xf0\x9f\x98\x80\\n", "\xf0\x9f\x98\x80\n"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct json_string s = {slice_str(cases[i].raw), strchr(cases[i].raw, '\\') != NULL};
                char *out = malloc(s.raw.len + 1); /* no byte more than promised, but for the NUL */
                size_t len = json_string_decode(s, out);

                assert_true(len <= s.raw.len);
                out[len] = '\0';
                assert_string_equal(out, cases[i].decoded);
                free(out);
        }
}

/* Texts end where their memory does: a sanitizer sees every byte read beyond. */
static void test_every_prefix(void **state)
{
        static const char text[] =
                "{\"a\\u00e9\":[1,-2.5e+3,\"x\\ud83d\\ude00y\",{\"b\":null,\"c\":[true,false,{}]}],"
                "\"long enough for eight bytes at once\":\"\xf0\x9f\x98\x80\",\"n\":0}";
        struct json_scratch scratch = {0};

        (void)state;
        for (size_t len = 0; len < sizeof(text); len++) {
                char *copy = malloc(len ? len : 1);
                struct json_reader r;
                struct json_value value;

                memcpy(copy, text, len);
                json_reader_init(&r, (struct slice){copy, len}, &scratch);
                assert_int_equal(json_read(&r, &value) && json_finish(&r), len == sizeof(text) - 1);
                free(copy);
        }
        json_scratch_deinit(&scratch);
}

static void test_trouble_is_the_value_s_own(void **state)
{
        struct json_scratch scratch = {0};
        struct json_reader r;
        struct json_string key;
        struct json_value value;

        (void)state;
        json_reader_init(&r, SLICE_LIT("{\"a\":\"\\u0000\",\"b\":1}"), &scratch);
        assert_true(json_object_open(&r));
        assert_true(json_object_next(&r, true, &key));
        assert_true(json_read(&r, &value));
        assert_int_equal(value.trouble, JSON_TROUBLE_NUL);
        assert_true(json_object_next(&r, false, &key));
        assert_true(json_read(&r, &value));
        assert_int_equal(value.trouble, JSON_TROUBLE_NONE);
        assert_false(json_object_next(&r, false, &key));
        assert_null(r.error);
        assert_true(json_finish(&r));
        json_scratch_deinit(&scratch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_decode),
                cmocka_unit_test(test_every_prefix),
                cmocka_unit_test(test_trouble_is_the_value_s_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
