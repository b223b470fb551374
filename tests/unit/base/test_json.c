/* The reader on its own; test_spending_record.c tests the fields of a record. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
                char *out = malloc(s.raw.len + 1); /* exactly the promised size, plus a NUL */
                size_t len = json_string_decode(s, out);

                assert_true(len <= s.raw.len);
                out[len] = '\0';
                assert_string_equal(out, cases[i].decoded);
                free(out);
        }
}

/* Texts end where their memory ends: a sanitizer notices every byte read beyond. */
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

/* Strings are scanned many bytes at a time: tests each byte at each position in strings of several lengths. */
static void test_every_byte_of_a_string(void **state)
{
        (void)state;
        for (size_t len = 1; len <= 40; len++) {
                for (size_t at = 1; at <= len; at++) {
                        for (unsigned byte = 0; byte < 256; byte++) {
                                bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                                char text[42];
                                size_t found;

                                memset(text, 'a', sizeof(text)); /* "\\a" is not an escape */
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

/* --- many keys --- */

enum { KEYS = 3000, KEY_BYTES = 8, SLOTS = 8192 };

/* The shortest of several measured times for reading an object with these keys. */
static double read_keys(char keys[KEYS][KEY_BYTES + 1])
{
        struct json_scratch scratch = {0};
        char *text = malloc(2 + (size_t)KEYS * (KEY_BYTES + 5));
        double best = 1e9;
        size_t len = 1;

        text[0] = '{';
        for (int i = 0; i < KEYS; i++)
                len += (size_t)sprintf(text + len, "%s\"%s\":1", i ? "," : "", keys[i]);
        text[len++] = '}';
        for (int i = 0; i < 5; i++) {
                struct json_reader r;
                struct json_value value;
                clock_t start = clock();
                double took;

                json_reader_init(&r, (struct slice){text, len}, &scratch);
                assert_true(json_read(&r, &value));
                took = (double)(clock() - start);
                best = took < best ? took : best;
        }
        json_scratch_deinit(&scratch);
        free(text);
        return best;
}

/* An attacker chooses keys whose hashes, which everybody can compute, have the same slot in a table. */
static void test_colliding_keys_cost_no_more(void **state)
{
        static char colliding[KEYS][KEY_BYTES + 1];
        static char ordinary[KEYS][KEY_BYTES + 1];
        int found = 0;

        (void)state;
        for (unsigned n = 0; found < KEYS; n++) {
                char key[KEY_BYTES + 1];

                for (int i = 0; i < KEY_BYTES; i++)
                        key[i] = (char)('a' + (n >> 4 * i & 15));
                key[KEY_BYTES] = '\0';
                if (n < KEYS)
                        memcpy(ordinary[n], key, sizeof(key));
                if ((XXH3_128bits_withSeed(key, KEY_BYTES, 1).low64 & (SLOTS - 1)) == 0)
                        memcpy(colliding[found++], key, sizeof(key));
        }
        assert_true(read_keys(colliding) < 5 * read_keys(ordinary) + 1000);
}

static void test_scratch_does_not_stay_long(void **state)
{
        static char text[600000];
        struct json_scratch scratch = {0};
        struct json_reader r;
        struct json_value value;
        size_t len = 1;

        (void)state;
        text[0] = '{';
        for (int i = 0; i < 20000; i++)
                len += (size_t)sprintf(text + len, "%s\"%d\\n\":\"\\n\"", i ? "," : "", i);
        text[len++] = '}';
        json_reader_init(&r, (struct slice){text, len}, &scratch);
        assert_true(json_read(&r, &value));
        assert_true(scratch.keys_cap >= 20000 && scratch.table_cap >= 40000);
        json_scratch_trim(&scratch);
        assert_true(scratch.keys_cap == 0 && scratch.table_cap == 0 && scratch.text.cap == 0);
        json_reader_init(&r, (struct slice){text, len}, &scratch);
        assert_true(json_read(&r, &value));
        json_scratch_deinit(&scratch);
}

static enum json_trouble trouble_of(const char *text, size_t text_max)
{
        struct json_scratch scratch = {0};
        struct json_reader r;
        struct json_value value;

        json_reader_init(&r, slice_str(text), &scratch);
        r.text_max = text_max;
        assert_true(json_read(&r, &value));
        json_scratch_deinit(&scratch);
        return value.trouble;
}

static void test_long_text(void **state)
{
        (void)state;
        assert_int_equal(trouble_of("{\"a\":1e1000}", 1010), JSON_TROUBLE_LONG);
        assert_int_equal(trouble_of("{\"a\":1e1000}", 1020), JSON_TROUBLE_NONE);
        assert_int_equal(trouble_of("{\"a\":[1e500,{\"b\":[-1e-500]}]}", 1000), JSON_TROUBLE_LONG);
        assert_int_equal(trouble_of("{\"a\":[1e500,{\"b\":[-1e-500]}]}", 1100), JSON_TROUBLE_NONE);
        assert_int_equal(trouble_of("{\"a\":[0e500,{\"b\":[0e-500]}]}", 500), JSON_TROUBLE_LONG);
        assert_int_equal(trouble_of("{\"a\":1e1000}", 0), JSON_TROUBLE_NONE);
        /* without exponents, any text of an accepted line may be stored */
        assert_int_equal(trouble_of("{\"a\":[1,1.5,12345678901234567890]}", 10), JSON_TROUBLE_NONE);
        /* for a number, its reader decides */
        assert_int_equal(trouble_of("1e1000", 10), JSON_TROUBLE_NONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_colliding_keys_cost_no_more),
                cmocka_unit_test(test_scratch_does_not_stay_long),
                cmocka_unit_test(test_long_text),
                cmocka_unit_test(test_decode),
                cmocka_unit_test(test_every_prefix),
                cmocka_unit_test(test_every_byte_of_a_string),
                cmocka_unit_test(test_trouble_is_the_value_s_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
