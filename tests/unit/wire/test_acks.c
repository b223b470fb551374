/* The watermark compared with a model that records every line, in random order. */
#include "test.h"

#include <stdlib.h>

#include "wire/acks.h"

enum { LINES = 20000, WINDOW = 3000 };

static void test_random_order(void **state)
{
        static char settled[LINES + 2];
        static uint64_t open[WINDOW];
        struct acks a = {0};
        size_t open_len = 0;
        uint64_t watermark = 0;

        (void)state;
        srandom(7);
        while (a.settled < LINES) {
                if (a.begun < LINES && open_len < WINDOW && random() % 2) {
                        open[open_len++] = acks_begin(&a);
                } else if (open_len > 0) {
                        size_t i = (size_t)random() % open_len;
                        uint64_t line = open[i];
                        int moved = acks_settle(&a, line, (enum line_outcome)(line % LINE_OUTCOMES));

                        open[i] = open[--open_len];
                        settled[line] = 1;
                        assert_int_equal(moved, settled[watermark + 1]);
                        while (settled[watermark + 1])
                                watermark++;
                }
                assert_true(a.settled == watermark);
                for (uint64_t o = 0; o < LINE_OUTCOMES;
                     o++) /* the counts are those of the lines below the watermark */
                        assert_true(a.counts[o] ==
                                    (watermark + LINE_OUTCOMES - o) / LINE_OUTCOMES - (o == 0));
        }
        assert_true(acks_in_flight(&a) == 0);
        acks_deinit(&a);
}

/* One slow line holds the watermark back while very many later ones are settled. */
static void test_one_slow_line(void **state)
{
        struct acks a = {0};
        uint64_t first = acks_begin(&a);

        (void)state;
        for (int i = 0; i < 100000; i++)
                assert_false(acks_settle(&a, acks_begin(&a), LINE_STORED));
        assert_true(a.settled == 0 && a.counts[LINE_STORED] == 0);
        assert_true(acks_settle(&a, first, LINE_REJECTED));
        assert_true(a.settled == 100001 && a.counts[LINE_STORED] == 100000 && a.counts[LINE_REJECTED] == 1);
        acks_deinit(&a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random_order),
                cmocka_unit_test(test_one_slow_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
