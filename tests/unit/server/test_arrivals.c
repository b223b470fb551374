/* Receive times of unacked lines: exact while there are few groups of lines, and never too late. */
#include "test.h"

#include "server/arrivals.h"

static void test_few(void **state)
{
        struct arrivals a = {0};
        struct histogram latency = {0};

        (void)state;
        assert_int_equal(arrivals_oldest(&a), 0);
        arrivals_note(&a, 0, 3, 1000);
        arrivals_note(&a, 0, 3, 1500); /* no line came then */
        arrivals_note(&a, 0, 5, 2000);
        arrivals_note(&a, 0, 6, 2000); /* together with the two before */
        assert_int_equal(a.len, 2);
        assert_int_equal(arrivals_oldest(&a), 1000);
        assert_int_equal(arrivals_ack(&a, 0, 2, 9000, &latency), 8000);
        assert_int_equal(arrivals_oldest(&a), 1000);
        assert_int_equal(arrivals_ack(&a, 2, 5, 9000, &latency), 8000);
        assert_int_equal(arrivals_oldest(&a), 2000);
        assert_int_equal(arrivals_ack(&a, 5, 6, 9000, &latency), 7000);
        assert_int_equal(arrivals_oldest(&a), 0);
        assert_int_equal(latency.count, 6);
        assert_int_equal(latency.sum_us, 3 * 8000 + 3 * 7000);
        arrivals_note(&a, 6, 6, 9000); /* nothing after the acked lines */
        assert_int_equal(a.len, 0);
}

static void test_many(void **state)
{
        enum { LINES = 10000 };
        struct arrivals a = {0};
        struct histogram latency = {0};
        uint64_t now = (LINES + 1) * 1000;
        uint64_t exact = 0;

        (void)state;
        for (uint64_t line = 1; line <= LINES; line++) {
                arrivals_note(&a, 0, line, line * 1000);
                exact += now - line * 1000;
                assert_in_range(a.len, 1, ARRIVALS_MAX);
        }
        assert_int_equal(arrivals_oldest(&a), 1000);
        for (uint64_t line = 0; line < LINES; line++) {
                uint64_t took = arrivals_ack(&a, line, line + 1, now, &latency);

                assert_in_range(took, now - (line + 1) * 1000, now - 1000);
        }
        assert_int_equal(a.len, 0);
        assert_int_equal(latency.count, LINES);
        assert_true(latency.sum_us >= exact);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_few),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
