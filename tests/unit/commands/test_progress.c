#include "test.h"

#include "commands/progress.h"
#include "base/visible.h"

static void assert_line(const struct progress *p, unsigned columns, bool color, const char *want)
{
        struct buf line = {0};

        progress_put(p, columns, color, &line);
        buf_put(&line, "", 1);
        assert_string_equal(line.data, want);
        buf_deinit(&line);
}

static void test_additions_that_fit(void **state)
{
        struct progress p = {.name = "x\x1b.jsonl",
                             .lines = 1234567,
                             .bytes = 50,
                             .bytes_total = 100,
                             .rejected = 3,
                             .lines_rate = 156000,
                             .bytes_rate = 5};

        (void)state;
        assert_line(&p, 80, false,
                    "x?.jsonl  █████▌        50%  1,234,567 lines  156k/s 5 B/s  3 rejected  ETA 10 s");
}

static void test_every_width(void **state)
{
        struct progress p = {.name = "a file with a name that is long, and longer",
                             .lines = 12,
                             .bytes = 30,
                             .bytes_total = 1000,
                             .rejected = 1,
                             .spooled = 2,
                             .lines_rate = 5,
                             .bytes_rate = 5};

        (void)state;
        for (unsigned columns = 0; columns < 200; columns++) {
                struct buf line = {0};

                progress_put(&p, columns, false, &line);
                buf_put(&line, "", 1);
                assert_true(visible_length(line.data) <= columns);
                buf_deinit(&line);
        }
}

static void test_trouble_and_colors(void **state)
{
        struct progress p = {.name = "-", .lines = 1, .rejected = 1, .trouble = "cannot connect"};

        (void)state;
        assert_line(&p, 80, true, "-  1 lines  \033[33mcannot connect\033[0m  \033[31m1 rejected\033[0m");
        assert_line(&p, 80, false, "-  1 lines  cannot connect  1 rejected");
        assert_line(&p, 12, false, "-  1 lines");
}

static void test_rates(void **state)
{
        struct progress p = {.name = "-", .bytes_total = 1000000};

        (void)state;
        for (int tenth = 1; tenth <= 300; tenth++) {
                p.lines = (uint64_t)tenth / 10 * 1000; /* by the batch, one a second */
                p.bytes = p.lines * 10;
                progress_update(&p, tenth / 10.0);
        }
        assert_in_range((uint64_t)p.lines_rate, 700, 1400);
        assert_in_range((uint64_t)p.bytes_rate, 7000, 14000);
        progress_update(&p, 30);
        p.lines += 1000;
        progress_update(&p, 29); /* a clock that does not advance changes nothing */
        assert_in_range((uint64_t)p.lines_rate, 700, 1400);
}

static void test_bar(void **state)
{
        static const struct {
                double share;
                const char *bar;
        } cases[] = {{-1, "    "},   {0, "    "}, {0.5, "██  "}, {0.53, "██▏ "},
                     {0.99, "████"}, {1, "████"}, {7, "████"}};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct buf bar = {0};

                progress_put_bar(cases[i].share, 4, &bar);
                buf_put(&bar, "", 1);
                assert_string_equal(bar.data, cases[i].bar);
                buf_deinit(&bar);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_additions_that_fit),
                cmocka_unit_test(test_every_width),
                cmocka_unit_test(test_trouble_and_colors),
                cmocka_unit_test(test_rates),
                cmocka_unit_test(test_bar),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
