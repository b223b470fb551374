#include "test.h"

#include "wire/receipt.h"

static int64_t now;

static int64_t fake_now(void)
{
        return now;
}

static struct receipt_clock clock_at(int64_t us)
{
        now = us;
        return (struct receipt_clock){.now_us = fake_now};
}

static const int64_t DAY = INT64_C(86400000000);
static const int64_t START = INT64_C(1765432100000000);

static void test_moments_follow_the_clock(void **state)
{
        struct receipt_clock clock = clock_at(START);
        struct receipts r;

        (void)state;
        receipts_init(&r, &clock);
        assert_true(receipts_next(&r, 1).us == START);
        assert_true(receipts_next(&r, 1).us == START + 1);
        now += 5000;
        assert_true(receipts_next(&r, 6).us == START + 5000);
}

/* More lines than microseconds: moments run ahead of the clock, and wait for it when there are fewer. */
static void test_no_moment_twice(void **state)
{
        struct receipt_clock clock = clock_at(START);
        int64_t last = 0;
        struct receipts r;

        (void)state;
        receipts_init(&r, &clock);
        for (uint64_t turn = 1; turn < 100; turn++) {
                for (int i = 0; i < 2000; i++) {
                        int64_t us = receipts_next(&r, turn).us;

                        assert_true(us > last);
                        last = us;
                }
                now += 1000;
        }
        assert_true(last - now < RECEIPT_AHEAD_MAX_US);
        now += RECEIPT_AHEAD_MAX_US;
        assert_true(receipts_next(&r, 1000).us == now);
}

static void test_workers_share_no_moment(void **state)
{
        enum { WORKERS = 3, LINES = 5000 };
        static uint8_t seen[WORKERS * LINES * 4];
        struct receipt_clock clock = clock_at(START);
        struct receipts workers[WORKERS];

        (void)state;
        for (int w = 0; w < WORKERS; w++)
                receipts_init(&workers[w], &clock);
        for (int i = 0; i < WORKERS * LINES; i++) {
                int64_t us = receipts_next(&workers[(i / 7) % WORKERS], (uint64_t)i / 100).us - START;

                assert_in_range(us, 0, sizeof(seen) - 1);
                assert_int_equal(seen[us]++, 0);
                now += i % 100 == 0;
        }
}

/* Three days ahead for a moment, and back: no trace remains, in any worker. */
static void test_a_jump_of_the_clock_passes(void **state)
{
        struct receipt_clock clock = clock_at(START);
        struct receipts a;
        struct receipts b;

        (void)state;
        receipts_init(&a, &clock);
        receipts_init(&b, &clock);
        receipts_next(&a, 1);
        now += 3 * DAY;
        for (int i = 0; i < 10; i++)
                assert_true(receipts_next(&a, 2).us >= now);
        receipts_next(&b, 2);
        now = START + 2000;
        assert_true(receipts_next(&b, 3).us == now);
        assert_in_range(receipts_next(&a, 3).us - now, 0, RECEIPT_BLOCK_MAX);
        /* a small step back is waited out */
        now -= 500;
        assert_true(receipts_next(&a, 4).us > START + 2000);
}

static void test_numbers_tell_all_receipts_apart(void **state)
{
        struct receipt_clock clock = clock_at(START);
        struct receipts a;
        struct receipts b;
        uint64_t first;

        (void)state;
        receipts_init(&a, &clock);
        receipts_init(&b, &clock);
        first = receipts_next(&a, 1).number;
        assert_true(receipts_next(&a, 1).number == first + 1);
        assert_true(receipts_next(&b, 1).number - first > 1000000); /* by chance 1 in 10^13 */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_moments_follow_the_clock),
                cmocka_unit_test(test_no_moment_twice),
                cmocka_unit_test(test_workers_share_no_moment),
                cmocka_unit_test(test_a_jump_of_the_clock_passes),
                cmocka_unit_test(test_numbers_tell_all_receipts_apart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
