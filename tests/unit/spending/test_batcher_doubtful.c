/* Doubtful batches and distrusted clients: they come after others, and take one writer at most while there are others. */
#include "test.h"

#include "batcher_fixture.h"

/* Returns a doubtful batch of @len rows, numbered from @n, to the batcher. */
static void return_doubtful(struct fixture *f, uint64_t n, size_t len, uint64_t due)
{
        struct batch *b = batch_new(&f->memory, 1);

        for (size_t i = 0; i < len; i++) {
                struct row row = {.line = {.number = n + i, .text = {"", 1}}};

                batch_add_take(b, &row);
        }
        b->doubtful = true;
        b->due = due;
        batcher_return(&f->batcher, b);
}

static void assert_taken(struct fixture *f, uint64_t n)
{
        struct batch *b = batcher_take(&f->batcher, (struct batcher_busy){0});

        assert_non_null(b);
        assert_int_equal(b->rows[0].line.number, n);
        batch_free(b);
}

static void test_doubtful_batches_stand_aside(void **state)
{
        struct fixture f;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10, .bytes = 1000, .linger_ms = 50});
        f.away = true;
        return_doubtful(&f, 100, 8, 0);
        return_doubtful(&f, 200, 1, 0);
        assert_true(batcher_has_room(&f.batcher) && batcher_has_room_for_doubtful(&f.batcher));
        return_doubtful(&f, 300, 4, 0);
        assert_true(batcher_has_room(&f.batcher));
        assert_false(batcher_has_room_for_doubtful(&f.batcher));
        add(&f, 4);
        /* in turn with other batches, small ones first */
        assert_taken(&f, 1);
        assert_taken(&f, 200);
        assert_taken(&f, 4);
        assert_taken(&f, 300);
        assert_taken(&f, 100);
        assert_null(batcher_take(&f.batcher, (struct batcher_busy){0}));
        assert_true(batcher_empty(&f.batcher));
        stop(&f);
}

static void test_doubtful_batches_wait_until_they_are_due(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        f.away = true;
        return_doubtful(&f, 1, 1, now_ms + 30);
        return_doubtful(&f, 2, 1, now_ms + 60000);
        assert_null(batcher_take(&f.batcher, (struct batcher_busy){0}));
        assert_false(batcher_empty(&f.batcher));
        assert_false(batcher_waits(&f.batcher));
        f.away = false;
        pass(29);
        assert_int_equal(f.taken, 0);
        pass(1);
        assert_int_equal(f.taken, 1);
        assert_int_equal(f.writing[0]->rows[0].line.number, 1);
        batcher_wake(&f.batcher);
        assert_int_equal(f.writing[1]->rows[0].line.number, 2);
        stop(&f);
}

/* Many resting rows do not delay the search among rows that may be good. */
static void test_doubtful_batches_that_never_rested_come_first(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        f.away = true;
        return_doubtful(&f, 1, 1, now_ms + 20);
        return_doubtful(&f, 2, 1, now_ms + 10);
        return_doubtful(&f, 3, 5, 0);
        pass(30);
        for (uint64_t number = 3; number > 0; number--) {
                struct batch *b = batcher_take(&f.batcher, (struct batcher_busy){0});

                assert_int_equal(b->rows[0].line.number, number);
                batch_free(b);
        }
        stop(&f);
}

/* --- distrusted clients --- */

static void add_from(struct fixture *f, enum batcher_sender sender)
{
        struct row row = {.line = {.number = ++f->added, .text = {"", 1}}};

        batcher_add_take(&f->batcher, &row, sender);
}

static void test_rows_of_distrusted_clients_gather_apart(void **state)
{
        struct fixture f;
        struct batch *b;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10, .bytes = 1000, .linger_ms = 50});
        f.away = true;
        add_from(&f, SENDER_DISTRUSTED); /* 1 */
        add(&f, 1);                      /* 2 */
        add_from(&f, SENDER_DISTRUSTED); /* 3 */
        return_doubtful(&f, 100, 4, 0);
        assert_taken(&f, 2);
        assert_taken(&f, 100);
        b = batcher_take(&f.batcher, (struct batcher_busy){0});
        assert_non_null(b);
        assert_true(b->doubtful && b->distrusted);
        assert_int_equal(b->len, 2);
        assert_int_equal(b->rows[1].line.number, 3);

        /* what comes back of it stays after what is doubtful only, whatever its size */
        batcher_return(&f.batcher, b);
        return_doubtful(&f, 200, 8, 0);
        assert_taken(&f, 200);
        assert_taken(&f, 1);
        assert_true(batcher_empty(&f.batcher));
        stop(&f);
}

static void test_rows_of_new_clients_do_not_wait_for_those_of_distrusted_ones(void **state)
{
        struct fixture f;
        struct batch *b;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10, .bytes = 1000, .linger_ms = 50});
        f.away = true;
        add_from(&f, SENDER_DISTRUSTED); /* 1 */
        batcher_return(&f.batcher, batcher_take(&f.batcher, (struct batcher_busy){0}));
        add_from(&f, SENDER_DISTRUSTED); /* 2 */
        add_from(&f, SENDER_NEW);        /* 3 */
        add_from(&f, SENDER_NEW);        /* 4 */
        assert_int_equal(batcher_new_rows(&f.batcher), 2);
        return_doubtful(&f, 100, 4, 0);
        assert_taken(&f, 100);
        assert_taken(&f, 1); /* in turn */
        b = batcher_take(&f.batcher, (struct batcher_busy){0});
        assert_non_null(b);
        assert_true(b->doubtful && !b->distrusted);
        assert_int_equal(b->len, 2);
        assert_int_equal(b->rows[0].line.number, 3);
        assert_int_equal(batcher_new_rows(&f.batcher), 0);
        batch_free(b);
        assert_taken(&f, 2);
        assert_true(batcher_empty(&f.batcher));
        assert_int_equal(f.batcher.doubtful_rows, 0);
        stop(&f);
}

/* Rows that rest, many of them, delay new clients by one batch each time. */
static void test_new_and_resting_rows_come_in_turn(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        f.away = true;
        for (uint64_t n = 1; n <= 3; n++)
                return_doubtful(&f, 100 * n, 1, now_ms + n);
        pass(100);
        for (uint64_t n = 1; n <= 3; n++) {
                add_from(&f, SENDER_NEW);
                batcher_hurry(&f.batcher);
                assert_taken(&f, n);
                assert_taken(&f, 100 * n);
        }
        stop(&f);
}

static void test_distrusted_clients_have_a_bound(void **state)
{
        struct fixture f;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10, .bytes = 1000, .linger_ms = 50});
        f.away = true;
        for (int i = 0; i < 10; i++)
                add_from(&f, SENDER_DISTRUSTED);
        assert_true(batcher_has_room(&f.batcher)); /* for others */
        assert_false(batcher_has_room_for_doubtful(&f.batcher));
        assert_true(batcher_waits(&f.batcher));
        assert_taken(&f, 1);
        assert_true(batcher_has_room_for_doubtful(&f.batcher));
        stop(&f);
}

static void test_an_idle_writer_takes_distrusted_rows_at_once(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        add_from(&f, SENDER_DISTRUSTED);
        pass(0);
        assert_int_equal(writing_len(&f, 0), 1);
        stop(&f);
}

static void test_one_writer_is_left_for_others(void **state)
{
        const struct batcher_busy one_doubtful = {.doubtful = 1};
        struct fixture f;
        struct batch *b;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10, .bytes = 1000, .linger_ms = 50});
        f.away = true;
        return_doubtful(&f, 100, 2, 0);
        return_doubtful(&f, 200, 1, 0);
        add(&f, 1);
        assert_taken(&f, 1);
        assert_taken(&f, 200);
        assert_null(batcher_take(&f.batcher, one_doubtful));
        add(&f, 1);
        assert_non_null(f.batcher.open);
        batch_free(batcher_take(&f.batcher,
                                one_doubtful)); /* the ordinary one, without the gap of a busy writer */
        assert_null(f.batcher.open);
        now_ms += 1000; /* no ordinary batch came for a second: every writer may take a doubtful one */
        b = batcher_take(&f.batcher, one_doubtful);
        assert_non_null(b);
        batch_free(b);
        stop(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_doubtful_batches_stand_aside),
                cmocka_unit_test(test_doubtful_batches_wait_until_they_are_due),
                cmocka_unit_test(test_doubtful_batches_that_never_rested_come_first),
                cmocka_unit_test(test_rows_of_distrusted_clients_gather_apart),
                cmocka_unit_test(test_rows_of_new_clients_do_not_wait_for_those_of_distrusted_ones),
                cmocka_unit_test(test_new_and_resting_rows_come_in_turn),
                cmocka_unit_test(test_distrusted_clients_have_a_bound),
                cmocka_unit_test(test_an_idle_writer_takes_distrusted_rows_at_once),
                cmocka_unit_test(test_one_writer_is_left_for_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
