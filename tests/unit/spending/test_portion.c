/* How much of a batch goes into one transaction: new weeks, weeks, and records keyed by id alone. */
#include "test.h"

#include "spending/portion.h"

static const int64_t WEEK_US = INT64_C(7) * 24 * 3600 * 1000000;

static struct known_weeks known;
static struct memory memory;

static struct batch *make_batch(size_t rows, int64_t first_week, bool any_time)
{
        struct batch *b = batch_new(&memory, rows);

        for (size_t i = 0; i < rows; i++) {
                struct row row = {
                        .rec = {.collected_at = (first_week + (int64_t)i) * WEEK_US, .any_time = any_time},
                        .line = {.number = i, .text = {"", 10}}};

                batch_add_take(b, &row);
        }
        return b;
}

static int setup(void **state)
{
        (void)state;
        memory_init(&memory, 1 << 20);
        memset(&known, 0, sizeof(known));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        memory_deinit(&memory); /* asserts that nothing is left */
        return 0;
}

static void assert_cut(struct batch *b, size_t kept, size_t left)
{
        struct batch *rest = portion_cut(b, &known);

        assert_int_equal(b->len, kept);
        assert_int_equal(b->bytes, 10 * kept);
        assert_int_equal(rest ? rest->len : 0, left);
        if (rest)
                batch_free(rest);
}

static void test_new_weeks(void **state)
{
        struct batch *b = make_batch(100, -50, false); /* before 1970, too */

        (void)state;
        assert_cut(b, PORTION_NEW_WEEKS, 100 - PORTION_NEW_WEEKS);
        portion_written(b, &known);
        batch_free(b);
        /* known weeks are taken in addition */
        b = make_batch(100, -50, false);
        assert_cut(b, 2 * PORTION_NEW_WEEKS, 100 - 2 * PORTION_NEW_WEEKS);
        batch_free(b);
        b = make_batch(PORTION_NEW_WEEKS, 1000000, false);
        assert_cut(b, PORTION_NEW_WEEKS, 0);
        batch_free(b);
}

static void test_known_weeks(void **state)
{
        struct batch *b = make_batch(1000, 0, false);

        (void)state;
        portion_written(b, &known);
        assert_cut(b, PORTION_WEEKS, 1000 - PORTION_WEEKS);
        batch_free(b);
}

static void test_ids(void **state)
{
        struct batch *b = make_batch(3, 7, false);
        struct row row = {.rec = {.any_time = true, .collected_at = 7 * WEEK_US}, .line = {.text = {"", 10}}};

        (void)state;
        for (int i = 0; i < PORTION_IDS + 5; i++)
                batch_add_take(b, &row);
        assert_cut(b, 3, PORTION_IDS + 5);
        assert_false(b->any_time);
        batch_free(b);
        b = batch_new(&memory, 1);
        for (int i = 0; i < PORTION_IDS + 5; i++)
                batch_add_take(b, &row);
        assert_cut(b, PORTION_IDS, 5);
        assert_true(b->any_time);
        batch_free(b);
}

static void test_one_week(void **state)
{
        struct batch *b = make_batch(1, 5, false);

        (void)state;
        assert_cut(b, 1, 0);
        batch_free(b);
}

static void test_the_week_of_the_first_row(void **state)
{
        struct batch *b = make_batch(3, 7, false);
        struct row row = {.rec = {.collected_at = 7 * WEEK_US + 1}, .line = {.text = {"", 10}}};
        struct batch *others;

        (void)state;
        batch_add_take(b, &row);
        others = portion_part_week(b);
        assert_int_equal(b->len, 2);
        assert_int_equal(others->len, 2);
        assert_null(portion_part_week(b));
        batch_free(others);
        batch_free(b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_new_weeks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_known_weeks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_week, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_week_of_the_first_row, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
