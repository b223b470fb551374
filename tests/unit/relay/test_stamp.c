#include "relay/stamp.h"

#include <string.h>

#include "test.h"

static struct json_scratch scratch;

static struct stamped stamp(const char *message, struct buf *out)
{
        struct stamped n;

        out->len = 0;
        n = stamp_lines(slice_str(message), 1000000, &scratch, out);
        buf_put(out, "", 1);
        return n;
}

static void expect(const char *message, const char *lines)
{
        struct buf out = {0};

        stamp(message, &out);
        assert_string_equal(out.data, lines);
        buf_deinit(&out);
}

static void test_spending_without_collected_at_is_stamped(void **state)
{
        (void)state;
        expect("{\"a\":1}\n", "{\"collectedAt\":\"1970-01-01T00:00:01.000001Z\",\"a\":1}\n");
        expect("{\"a\":1}", "{\"collectedAt\":\"1970-01-01T00:00:01.000001Z\",\"a\":1}\n");
        expect("\n {\"kind\":\"spending\"}\r\n",
               "\n {\"collectedAt\":\"1970-01-01T00:00:01.000002Z\",\"kind\":\"spending\"}\r\n");
        expect("{\"metrics\":{\"collectedAt\":1}}\n",
               "{\"collectedAt\":\"1970-01-01T00:00:01.000001Z\",\"metrics\":{\"collectedAt\":1}}\n");
        expect("{\"kind\":\"sp\\u0065nding\"}\n",
               "{\"collectedAt\":\"1970-01-01T00:00:01.000001Z\",\"kind\":\"sp\\u0065nding\"}\n");
}

static void test_other_lines_stay_as_they_are(void **state)
{
        static const char *const lines[] = {"{\"a\":1,\"collectedAt\":\"x\"}\n",
                                            "{\"collectedAt\":null}\n",
                                            "{\"collected\\u0041t\":\"x\"}\n",
                                            "{\"kind\":\"adObject\"}\n",
                                            "{\"a\":1,\"kind\":\"adAccount\"}\n",
                                            "{\"kind\":7}\n",
                                            "{}\n",
                                            "[]\n",
                                            "{\"a\":1\n",
                                            "{\"a\":1}}\n",
                                            "x\n"};
        static const char escaped[] = "{\"\\u0063\\u006f\\u006c\\u006c\\u0065\\u0063\\u0074"
                                      "\\u0065\\u0064\\u0041\\u0074\":\"x\"}\n";

        (void)state;
        expect(escaped, escaped);
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                expect(lines[i], lines[i]);
        expect("\xef\xbb\xbf{}\n", "{}\n");
}

static void test_lines_are_counted(void **state)
{
        struct buf out = {0};
        struct stamped n = stamp("", &out);

        (void)state;
        assert_int_equal(n.lines, 0);
        n = stamp("\n\r\n", &out);
        assert_int_equal(n.lines, 2);
        assert_int_equal(n.full, 0);
        n = stamp("a\n\nb", &out);
        assert_int_equal(n.lines, 3);
        assert_int_equal(n.full, 2);
        buf_deinit(&out);
        json_scratch_deinit(&scratch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_spending_without_collected_at_is_stamped),
                cmocka_unit_test(test_other_lines_stay_as_they_are),
                cmocka_unit_test(test_lines_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
