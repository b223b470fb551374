/* When batches are written, by a clock that this test moves, and timers that go by it. */
#include "test.h"

#include "batcher_fixture.h"

/* --- idle --- */

static void test_an_idle_writer_gets_what_a_loop_turn_brings(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        add(&f, 1);
        assert_int_equal(f.taken, 0);
        add(&f, 4); /* the same turn */
        pass(0);
        assert_int_equal(f.taken, 1);
        assert_int_equal(writing_len(&f, 0), 5);
        assert_true(batcher_empty(&f.batcher));
        stop(&f);
}

static void test_an_idle_daemon_keeps_no_gap(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 40, 1, 20);
        pass(10);
        f.taken = 0;
        add(&f, 1);
        pass(0);
        assert_int_equal(f.taken, 1);
        stop(&f);
}

static void test_the_gap_is_a_part_of_what_a_commit_takes(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 60, 1, 20);
        assert_in_range(pace_gap_us(&f.batcher.pace), 9900, 10000); /* the row takes some of it */
        f.taken = 0;
        add(&f, 1);
        pass(9);
        add(&f, 3);
        assert_int_equal(f.taken, 0);
        pass(1);
        assert_int_equal(f.taken, 1);
        assert_int_equal(writing_len(&f, 0), 4);
        stop(&f);
}

static void test_rows_that_cost_more_than_the_commit_keep_no_gap(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 60, 1, 4);
        f.taken = 0;
        add(&f, 4 * f.batcher.pace.rows / PACE_COMMIT_MS);
        pass(0);
        assert_int_equal(f.taken, 1);
        stop(&f);
}

static void test_a_large_batch_does_not_widen_the_gap(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 10, 1, 2);
        for (int i = 0; i < 10; i++)
                write_batches(&f, 1, f.batcher.pace.rows, 60);
        assert_in_range(pace_gap_us(&f.batcher.pace), 900, 1000);
        stop(&f);
}

/* --- busy --- */

static void test_what_comes_during_a_commit_is_the_next_batch(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 10, 1, 8);
        pass(8);
        add(&f, 1);
        pass(2);
        f.taken = 0;
        for (int i = 0; i < 8; i++) {
                add(&f, 5);
                pass(1);
        }
        assert_int_equal(f.taken, 0); /* one writer is enough */
        assert_int_equal(commit(&f, 0), 1);
        pass(5); /* the gap */
        assert_int_equal(writing_len(&f, 0), 40);
        stop(&f);
}

static void test_one_writer_while_batches_are_small(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 10, 1, 2);
        f.taken = 0;
        for (int i = 0; i < 2000; i++) { /* 1,000 rows/s, 2 ms a commit */
                add(&f, 1);
                pass(1);
                if (f.writing[0] && now_ms - f.taken_at[0] >= 2)
                        commit(&f, 0);
                assert_null(f.writing[1]);
        }
        assert_in_range(f.taken, 600, 700); /* with the gap, 3 ms each */
        assert_true(f.wait <= 3);
        stop(&f);
}

static void test_a_batch_that_is_worth_it_takes_the_other_writer(void **state)
{
        struct fixture f;
        size_t worth;

        (void)state;
        start(&f);
        worth = pace_worth(&f.batcher.pace);
        add(&f, 1);
        pass(1);
        add(&f, worth - 1);
        assert_null(f.writing[1]);
        add(&f, 1);
        assert_int_equal(writing_len(&f, 1), worth);
        stop(&f);
}

static void test_a_commit_that_takes_long_is_not_waited_for(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_batches(&f, 20, 1, 4);
        pass(4);
        add(&f, 1);
        pass(1);
        add(&f, 1);
        pass(7);
        assert_null(f.writing[1]);
        pass(1);
        assert_int_equal(writing_len(&f, 1), 1);
        stop(&f);
}

static void test_never_above_linger_while_a_writer_is_idle(void **state)
{
        struct fixture f;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10000, .bytes = 8 << 20, .linger_ms = 7});
        write_batches(&f, 20, 1, 400); /* the gap would be 100 ms */
        add(&f, 1);
        pass(7);
        assert_non_null(f.writing[0]);
        add(&f, 1);
        pass(7);
        assert_non_null(f.writing[1]);
        assert_int_equal(f.wait, 7);
        stop(&f);
}

static void test_without_linger_nothing_waits(void **state)
{
        struct fixture f;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 10000, .bytes = 8 << 20, .linger_ms = 0});
        write_batches(&f, 20, 1, 400);
        add(&f, 1);
        pass(0);
        add(&f, 1);
        pass(0);
        assert_int_equal(writing_len(&f, 0), 1);
        assert_int_equal(writing_len(&f, 1), 1);
        stop(&f);
}

/* --- the target --- */

static void test_the_target_is_what_50_ms_write(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        for (int i = 0; i < 60; i++) { /* 60 rows/ms */
                add(&f, f.batcher.pace.rows);
                pass(0);
                for (size_t w = 0; w < WRITERS; w++) {
                        uint64_t due = f.writing[w] ? f.taken_at[w] + f.writing[w]->len / 60 : 0;

                        if (due > now_ms)
                                pass(due - now_ms);
                        if (due > 0)
                                commit(&f, w);
                }
        }
        assert_in_range(f.batcher.pace.rows, 2600, 3300);
        stop(&f);
}

static void test_the_target_has_a_floor_and_the_limits(void **state)
{
        struct pace p;

        (void)state;
        pace_init(&p, &(struct pace_limits){.rows = 5000, .bytes = 1 << 20, .linger_ms = 50});
        for (int i = 0; i < 100; i++)
                pace_learn(&p, p.rows, p.bytes, 1000);
        assert_int_equal(p.rows, 5000);
        assert_int_equal(p.bytes, 1 << 20);
        for (int i = 0; i < 100; i++)
                pace_learn(&p, p.rows, p.bytes, 10 * 1000 * 1000);
        assert_int_equal(p.rows, PACE_ROWS_MIN);
        assert_int_equal(p.bytes, PACE_BYTES_MIN);
        pace_set_limits(&p, &(struct pace_limits){.rows = 10, .bytes = 1000});
        assert_int_equal(p.rows, 10);
        assert_int_equal(p.bytes, 1000);
}

static void test_a_small_batch_teaches_no_target(void **state)
{
        struct pace p;

        (void)state;
        pace_init(&p, &(struct pace_limits){.rows = 10000, .bytes = 8 << 20, .linger_ms = 50});
        for (int i = 0; i < 100; i++)
                pace_learn(&p, 3, 1200, 300 * 1000);
        assert_int_equal(p.rows, PACE_ROWS_MIN);
}

/* --- room --- */

static void test_one_batch_waits(void **state)
{
        struct fixture f;
        size_t target;

        (void)state;
        start(&f);
        target = f.batcher.pace.rows;
        f.away = true;
        add(&f, target - 1);
        assert_true(batcher_has_room(&f.batcher));
        add(&f, 1);
        assert_false(batcher_has_room(&f.batcher));
        assert_true(batcher_has_quick_room(&f.batcher)); /* for those that send little */
        assert_true(batcher_waits(&f.batcher));
        assert_int_equal(f.batcher.sealed_len, 1);
        add(&f, 3 * target); /* from the resolver: into batches of the usual size */
        assert_int_equal(f.batcher.sealed_len, 4);
        assert_false(batcher_has_quick_room(&f.batcher));
        stop(&f);
}

/* Both writers write bulk, and more of it waits. */
static void write_bulk(struct fixture *f)
{
        while (f->batcher.sealed_len == 0)
                add(f, 1);
        assert_int_equal(busy(f), WRITERS);
}

static void test_a_client_that_sends_little_is_first_beside_bulk(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        write_bulk(&f);
        add_one(&f, 400, true);
        add_one(&f, 400, true);
        commit(&f, 0);
        assert_int_equal(writing_len(&f, 0), 2);
        add_one(&f, 400, true); /* but in turn with the others */
        commit(&f, 0);
        assert_true(writing_len(&f, 0) > 2);
        commit(&f, 1);
        assert_int_equal(writing_len(&f, 1), 1);
        stop(&f);
}

static void test_rows_of_small_clients_have_a_bound_beside_bulk(void **state)
{
        struct fixture f;
        size_t n = 0;

        (void)state;
        start(&f);
        write_bulk(&f);
        for (; batcher_has_quick_room(&f.batcher); n++)
                add_one(&f, 400, true);
        assert_int_equal(n, f.batcher.pace.rows / 8 + 1);
        add_one(&f, 400, true); /* a row of the resolver is added even without room */
        assert_non_null(f.batcher.open);
        commit(&f, 0);
        assert_int_equal(writing_len(&f, 0), n);
        assert_true(batcher_has_quick_room(&f.batcher));
        add_one(&f, f.batcher.pace.bytes / 8 + 1, true);
        assert_false(batcher_has_quick_room(&f.batcher));
        stop(&f);
}

static void test_small_clients_alone_share_a_batch(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        add_one(&f, 400, true);
        add_one(&f, 400, false);
        assert_null(f.batcher.quick);
        pass(0);
        assert_int_equal(writing_len(&f, 0), 2);
        commit(&f, 0);
        write_bulk(&f);
        while (f.writing[0]) {
                pass(500);
                commit(&f, 0);
        }
        add_one(&f, 400, true); /* the bulk is over */
        assert_null(f.batcher.quick);
        stop(&f);
}

static void test_no_batch_has_more_than_the_limits(void **state)
{
        struct fixture f;

        (void)state;
        start_with(&f, (struct pace_limits){.rows = 3, .bytes = 1000, .linger_ms = 50});
        f.away = true;
        add(&f, 3);
        assert_int_equal(f.batcher.sealed_len, 1);
        add_of(&f, 1, 1000);
        assert_int_equal(f.batcher.sealed_len, 2);
        f.away = false;
        on_waiting(&f);
        assert_true(writing_len(&f, 0) == 3 && writing_len(&f, 1) == 1);
        stop(&f);
}

static void test_a_batch_that_comes_back_is_first(void **state)
{
        struct fixture f;
        struct batch *b;

        (void)state;
        start(&f);
        add(&f, 2);
        pass(0);
        add(&f, 1);
        f.away = true;
        b = f.writing[0];
        f.writing[0] = NULL;
        batcher_return(&f.batcher, b);
        assert_false(batcher_has_room(&f.batcher));
        f.away = false;
        on_waiting(&f);
        assert_ptr_equal(f.writing[0], b);
        stop(&f);
}

/* --- the end of a client, of the daemon; other settings --- */

static void test_hurry(void **state)
{
        struct fixture f;

        (void)state;
        start(&f);
        batcher_hurry(&f.batcher); /* without a row nothing happens */
        write_batches(&f, 40, 1, 40);
        add(&f, 1);
        assert_null(f.writing[0]);
        batcher_hurry(&f.batcher);
        assert_non_null(f.writing[0]);
        add(&f, 1); /* beside a busy writer */
        assert_null(f.writing[1]);
        batcher_hurry(&f.batcher);
        assert_non_null(f.writing[1]);
        add(&f, 1); /* with none idle */
        batcher_hurry(&f.batcher);
        add(&f, 1);
        pass(1);
        commit(&f, 0);
        assert_int_equal(writing_len(&f, 0), 2);
        stop(&f);
}

static void test_drain_in_each_state(void **state)
{
        struct fixture f;

        (void)state;
        for (int rows = 0; rows < 2; rows++) {
                for (unsigned writers = 0; writers <= WRITERS; writers++) {
                        start(&f);
                        write_batches(&f, 40, 1, 40);
                        for (unsigned i = 0; i < writers; i++) {
                                add(&f, pace_worth(&f.batcher.pace));
                                pass(20);
                        }
                        assert_int_equal(busy(&f), writers);
                        add(&f, (size_t)rows);
                        batcher_drain(&f.batcher);
                        assert_int_equal(f.batcher.open != NULL, rows == 1 && writers == WRITERS);
                        add(&f, 1); /* the last lines that were received */
                        pass(0);
                        for (unsigned i = 0; i < WRITERS; i++) {
                                if (f.writing[i])
                                        commit(&f, i);
                        }
                        assert_true(batcher_empty(&f.batcher));
                        stop(&f);
                }
        }
}

static void test_other_limits_in_each_state(void **state)
{
        static const struct pace_limits little = {.rows = 2, .bytes = 8 << 20, .linger_ms = 0};
        struct fixture f;

        (void)state;
        for (unsigned writers = 0; writers <= WRITERS; writers++) {
                start(&f);
                write_batches(&f, 40, 1, 40);
                for (unsigned i = 0; i < writers; i++) {
                        add(&f, pace_worth(&f.batcher.pace));
                        pass(20);
                }
                add(&f, 1); /* it gathers */
                batcher_set_limits(&f.batcher, &little);
                pass(0);
                assert_int_equal(f.batcher.open != NULL, writers == WRITERS);
                f.away = true;
                add(&f, 1);
                assert_int_equal(f.batcher.sealed_len, writers == WRITERS);
                stop(&f);
        }
}

/* --- doubtful batches --- */

/* A batch of @len rows, the first of which is @n, comes back as doubtful. */
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
        struct batch *b = batcher_take(&f->batcher, 0);

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
        assert_null(batcher_take(&f.batcher, 0));
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
        assert_null(batcher_take(&f.batcher, 0));
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
                struct batch *b = batcher_take(&f.batcher, 0);

                assert_int_equal(b->rows[0].line.number, number);
                batch_free(b);
        }
        stop(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_idle_writer_gets_what_a_loop_turn_brings),
                cmocka_unit_test(test_an_idle_daemon_keeps_no_gap),
                cmocka_unit_test(test_the_gap_is_a_part_of_what_a_commit_takes),
                cmocka_unit_test(test_rows_that_cost_more_than_the_commit_keep_no_gap),
                cmocka_unit_test(test_a_large_batch_does_not_widen_the_gap),
                cmocka_unit_test(test_what_comes_during_a_commit_is_the_next_batch),
                cmocka_unit_test(test_one_writer_while_batches_are_small),
                cmocka_unit_test(test_a_batch_that_is_worth_it_takes_the_other_writer),
                cmocka_unit_test(test_a_commit_that_takes_long_is_not_waited_for),
                cmocka_unit_test(test_never_above_linger_while_a_writer_is_idle),
                cmocka_unit_test(test_without_linger_nothing_waits),
                cmocka_unit_test(test_the_target_is_what_50_ms_write),
                cmocka_unit_test(test_the_target_has_a_floor_and_the_limits),
                cmocka_unit_test(test_a_small_batch_teaches_no_target),
                cmocka_unit_test(test_one_batch_waits),
                cmocka_unit_test(test_a_client_that_sends_little_is_first_beside_bulk),
                cmocka_unit_test(test_rows_of_small_clients_have_a_bound_beside_bulk),
                cmocka_unit_test(test_small_clients_alone_share_a_batch),
                cmocka_unit_test(test_no_batch_has_more_than_the_limits),
                cmocka_unit_test(test_a_batch_that_comes_back_is_first),
                cmocka_unit_test(test_hurry),
                cmocka_unit_test(test_drain_in_each_state),
                cmocka_unit_test(test_other_limits_in_each_state),
                cmocka_unit_test(test_doubtful_batches_stand_aside),
                cmocka_unit_test(test_doubtful_batches_wait_until_they_are_due),
                cmocka_unit_test(test_doubtful_batches_that_never_rested_come_first),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
