/* The reader by itself; what becomes of a record's fields is test_record.c's. */
#include "test.h"

#include <stdlib.h>

#include "base/json.h"

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

static bool reads_string(const char *text, size_t len, size_t *ret_len)
{
        struct json_scratch scratch = {0};
        char *copy = malloc(len);
        struct json_reader r;
        struct json_value value;
        bool ok;

        assert_non_null(copy);
        memcpy(copy, text, len);
        json_reader_init(&r, (struct slice){copy, len}, &scratch);
        ok = json_read(&r, &value);
        *ret_len = value.raw.len;
        free(copy);
        json_scratch_deinit(&scratch);
        return ok;
}

/* Strings are looked through many bytes at once: each byte, in each place, in strings of each length up to
 * some. */
static void test_every_byte_of_a_string(void **state)
{
        (void)state;
        for (size_t len = 1; len <= 40; len++) {
                for (size_t at = 1; at <= len; at++) {
                        for (unsigned byte = 0; byte < 256; byte++) {
                                bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                                char text[42];
                                size_t found;

                                memset(text, 'a', sizeof(text)); /* "\\a" is no escape */
                                text[0] = '"';
                                text[at] = (char)byte;
                                text[len + 1] = '"';
                                assert_int_equal(reads_string(text, len + 2, &found), plain || byte == '"');
                                if (plain || byte == '"')
                                        assert_int_equal(found, plain ? len : at - 1);
                        }
                }
        }
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
                cmocka_unit_test(test_every_byte_of_a_string),
                cmocka_unit_test(test_trouble_is_the_value_s_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
