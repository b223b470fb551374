/* The framer: however the bytes are divided, the lines are the same. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/frame.h"

#define MARK "\xef\xbb\xbf" /* the byte order mark */

enum { MAX_LINE = 8 };

/* Feeds @text in pieces of @piece bytes and writes each line in brackets, a line that is too long as "[!]".
 */
static void cut(const char *text, size_t text_len, size_t piece, char *out)
{
        struct frame f = {0};
        char buf[256];
        size_t len = 0;
        size_t fed = 0;
        int eof = 0;

        out[0] = '\0';
        for (;;) {
                struct slice line;
                size_t used;
                enum frame_result r = frame_next(&f, (struct slice){buf, len}, MAX_LINE, eof, &line, &used);

                assert_true(used <= len);
                if (r == FRAME_LINE)
                        sprintf(out + strlen(out), "[%.*s]", (int)line.len, line.ptr);
                if (r == FRAME_TOO_LONG)
                        strcat(out, "[!]");
                memmove(buf, buf + used, len - used);
                len -= used;
                if (r != FRAME_MORE)
                        continue;
                assert_true(len <= MAX_LINE + 1); /* what the caller must keep is bounded */
                if (eof)
                        break;
                for (size_t i = 0; i < piece && fed < text_len; i++)
                        buf[len++] = text[fed++];
                eof = fed == text_len;
        }
        assert_int_equal(len, 0);
}

static void test_lines(void **state)
{
        static const struct {
                const char *text;
                const char *lines;
        } cases[] = {
                {"", ""},
                {"a\nb\n", "[a][b]"},
                {"a\r\nb\r\n", "[a][b]"},
                {"a\nlast", "[a][last]"},
                {"last\r", "[last]"},
                {"\n\r\n\n", "[][][]"},
                {"a\rb\n", "[a\rb]"},
                {"12345678\n", "[12345678]"},
                {"12345678\r\n", "[12345678]"},
                {"12345678", "[12345678]"},
                {"12345678\r", "[12345678]"},
                {"123456789\nx\n", "[!][x]"},
                {"123456789", "[!]"},
                {"12345678\r9\nx\n", "[!][x]"},
                {"1234567890123456789012345678901234567890\nx\n\ny", "[!][x][][y]"},
                {"1234567890123\n1234567890123\nx", "[!][!][x]"},
                {"1234567890123\n1234567890123", "[!][!]"},
                {MARK "12345678\n" MARK "a\n", "[12345678][" MARK "a]"},
                {MARK "123456789\n" MARK "\n", "[!][" MARK "]"},
                {MARK MARK "a", "[" MARK "a]"},
                {MARK "\na", "[][a]"},
                {MARK "1234567890123", "[!]"},
                {MARK, ""},
                {"\xef\xbb", "[\xef\xbb]"},
                {"\xef\xbb\n", "[\xef\xbb]"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                for (size_t piece = 1; piece <= 60; piece++) {
                        char out[256];

                        cut(cases[i].text, strlen(cases[i].text), piece, out);
                        if (strcmp(out, cases[i].lines) != 0)
                                fail_msg("%s in pieces of %zu: %s, not %s", cases[i].text, piece, out,
                                         cases[i].lines);
                }
        }
}

static void test_nul_is_a_byte_like_any(void **state)
{
        struct frame f = {0};
        struct slice line;
        size_t used;

        (void)state;
        assert_int_equal(frame_next(&f, (struct slice){"a\0b\n", 4}, MAX_LINE, 0, &line, &used), FRAME_LINE);
        assert_int_equal(line.len, 3);
        assert_int_equal(used, 4);
}

static void test_beginning_of_a_long_line(void **state)
{
        struct frame f = {0};
        struct slice line;
        size_t used;

        (void)state;
        assert_int_equal(frame_next(&f, slice_str(MARK "POST /12345"), MAX_LINE, 0, &line, &used),
                         FRAME_TOO_LONG);
        assert_int_equal(line.len, 11);
        assert_memory_equal(line.ptr, "POST /", 6);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_nul_is_a_byte_like_any),
                cmocka_unit_test(test_beginning_of_a_long_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
