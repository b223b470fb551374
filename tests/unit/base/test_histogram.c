#include "test.h"

#include "base/histogram.h"

static size_t only_bucket(const struct histogram *h)
{
        size_t found = SIZE_MAX;

        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
                if (h->buckets[i] == 0)
                        continue;
                assert_int_equal(found, SIZE_MAX);
                found = i;
        }
        return found;
}

static void test_bounds_grow_from_a_tenth_of_a_millisecond_to_100_seconds(void **state)
{
        (void)state;
        assert_int_equal(histogram_bound_us(0), 100);
        assert_int_equal(histogram_bound_us(HISTOGRAM_BOUNDS - 1), 100000000);
        for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
                assert_true(histogram_bound_us(i) > histogram_bound_us(i - 1));
}

static void test_a_bound_belongs_to_the_bucket_below_it(void **state)
{
        (void)state;
        for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
                struct histogram at = {0};
                struct histogram above = {0};

                histogram_add(&at, histogram_bound_us(i), 1);
                histogram_add(&above, histogram_bound_us(i) + 1, 1);
                assert_int_equal(only_bucket(&at), i);
                assert_int_equal(only_bucket(&above), i + 1);
        }
}

static void test_extremes_have_a_place(void **state)
{
        struct histogram h = {0};

        (void)state;
        histogram_add(&h, 0, 3);
        histogram_add(&h, UINT32_MAX, 2);
        assert_int_equal(h.buckets[0], 3);
        assert_int_equal(h.buckets[HISTOGRAM_BOUNDS], 2);
        assert_int_equal(h.count, 5);
        assert_int_equal(h.sum_us, UINT64_C(2) * UINT32_MAX);
        assert_float_equal(histogram_quantile(&h, 1), 100, 0);
}

static void test_quantiles_are_near_the_true_ones(void **state)
{
        struct histogram h = {0};

        (void)state;
        assert_true(histogram_quantile(&h, 0.5) < 0);
        for (uint64_t ms = 1; ms <= 1000; ms++)
                histogram_add(&h, ms * 1000, 1);
        assert_float_equal(histogram_quantile(&h, 0.5), 0.5, 0.01);
        assert_float_equal(histogram_quantile(&h, 0.99), 0.99, 0.02);
        assert_float_equal(histogram_quantile(&h, 1), 1, 0);
}

static void test_what_came_since_and_together(void **state)
{
        struct histogram h = {0};
        struct histogram before;
        struct histogram since;

        (void)state;
        histogram_add(&h, 5000, 10);
        before = h;
        histogram_add(&h, 70000, 4);
        since = histogram_since(&h, &before);
        assert_int_equal(since.count, 4);
        assert_int_equal(since.sum_us, 280000);
        assert_int_equal(histogram_bound_us(only_bucket(&since)), 80000);
        histogram_merge(&before, &since);
        assert_memory_equal(&before, &h, sizeof(h));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bounds_grow_from_a_tenth_of_a_millisecond_to_100_seconds),
                cmocka_unit_test(test_a_bound_belongs_to_the_bucket_below_it),
                cmocka_unit_test(test_extremes_have_a_place),
                cmocka_unit_test(test_quantiles_are_near_the_true_ones),
                cmocka_unit_test(test_what_came_since_and_together),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
