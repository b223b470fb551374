/* Batches and the batcher: sealed on rows, bytes and age; handed out in order; memory counted exactly. */
#include "test.h"

#include "spending/batcher.h"

static struct row make_row(uint64_t n, size_t bytes)
{
        return (struct row){.line = {.number = n, .text = {"", bytes}}};
}

static void test_split_and_remove(void **state)
{
        struct memory memory;
        struct batch *b;
        struct batch *second;

        (void)state;
        memory_init(&memory, 1 << 20);
        b = batch_new(&memory, 1);
        for (uint64_t n = 0; n < 101; n++) {
                struct row row = make_row(n, 10);

                batch_add_take(b, &row);
        }
        b->merge = true;
        second = batch_split(b);
        assert_int_equal(b->len, 50);
        assert_int_equal(second->len, 51);
        assert_int_equal(b->bytes, 500);
        assert_int_equal(second->bytes, 510);
        assert_true(second->merge);
        assert_true(b->rows[49].line.number == 49 && second->rows[0].line.number == 50);
        batch_remove(b, 0);
        assert_true(b->len == 49 && b->bytes == 490 && b->rows[0].line.number == 49);
        assert_true(memory.used > 0);
        batch_free(b);
        batch_free(second);
        memory_deinit(&memory); /* asserts that nothing is left */
}

struct fixture {
        uv_loop_t loop;
        struct memory memory;
        struct batcher batcher;
        int sealed;
        uint64_t sealed_at;
};

static void on_sealed(void *ctx)
{
        struct fixture *f = ctx;

        f->sealed++;
        f->sealed_at = uv_now(&f->loop);
}

static void on_closed(struct batcher *b)
{
        (void)b;
}

static void start(struct fixture *f, const struct batcher_limits *limits)
{
        *f = (struct fixture){0};
        uv_loop_init(&f->loop);
        memory_init(&f->memory, 1 << 20);
        batcher_init(&f->batcher, &f->loop, &f->memory, limits, on_sealed, f);
}

static void stop(struct fixture *f)
{
        struct batch *b;

        while ((b = batcher_take(&f->batcher)))
                batch_free(b);
        batcher_close(&f->batcher, on_closed);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&f->loop), 0);
        memory_deinit(&f->memory);
}

static void add(struct fixture *f, uint64_t n, size_t bytes)
{
        struct row row = make_row(n, bytes);

        batcher_add_take(&f->batcher, &row);
}

static void test_sealed_on_rows_and_bytes(void **state)
{
        struct fixture f;
        struct batch *b;

        (void)state;
        start(&f, &(struct batcher_limits){.rows = 3, .bytes = 100, .linger_ms = 60000, .sealed = 2});
        add(&f, 1, 1);
        add(&f, 2, 1);
        assert_int_equal(f.sealed, 0);
        add(&f, 3, 1);
        assert_int_equal(f.sealed, 1);
        assert_true(batcher_has_room(&f.batcher));
        add(&f, 4, 100);
        assert_int_equal(f.sealed, 2);
        assert_false(batcher_has_room(&f.batcher));
        b = batcher_take(&f.batcher);
        assert_true(b->rows[0].line.number == 1);
        batcher_return(&f.batcher, b); /* first again */
        assert_int_equal(f.sealed, 3);
        assert_ptr_equal(batcher_take(&f.batcher), b);
        batch_free(b);
        add(&f, 5, 1);
        batcher_seal(&f.batcher);
        batcher_seal(&f.batcher); /* no open batch: does nothing */
        assert_int_equal(f.sealed, 4);
        stop(&f);
}

static void test_sealed_on_age(void **state)
{
        struct fixture f;
        uint64_t begun;

        (void)state;
        start(&f, &(struct batcher_limits){.rows = 100, .bytes = 1000, .linger_ms = 30, .sealed = 2});
        add(&f, 1, 1);
        begun = uv_now(&f.loop);
        uv_run(&f.loop, UV_RUN_DEFAULT); /* until the timer is done */
        assert_int_equal(f.sealed, 1);
        assert_true(f.sealed_at - begun >= 30);
        stop(&f);
}

/* A sealed batch of @len rows, the first being @n, taken and returned as doubtful. */
static void return_doubtful(struct fixture *f, uint64_t n, size_t len, uint64_t due)
{
        struct batch *b = batch_new(&f->memory, 1);

        for (size_t i = 0; i < len; i++) {
                struct row row = make_row(n + i, 1);

                batch_add_take(b, &row);
        }
        b->doubtful = true;
        b->due = due;
        batcher_return(&f->batcher, b);
}

static void assert_taken(struct fixture *f, uint64_t n)
{
        struct batch *b = batcher_take(&f->batcher);

        assert_non_null(b);
        assert_int_equal(b->rows[0].line.number, n);
        batch_free(b);
}

static void test_doubtful_batches_stand_aside(void **state)
{
        struct fixture f;

        (void)state;
        start(&f, &(struct batcher_limits){.rows = 10, .bytes = 1000, .linger_ms = 60000, .sealed = 2});
        return_doubtful(&f, 100, 8, 0);
        return_doubtful(&f, 200, 1, 0);
        assert_true(batcher_has_room(&f.batcher) && batcher_has_room_for_doubtful(&f.batcher));
        return_doubtful(&f, 300, 4, 0);
        assert_true(batcher_has_room(&f.batcher));
        assert_false(batcher_has_room_for_doubtful(&f.batcher));
        for (uint64_t n = 1; n <= 2; n++) {
                add(&f, n, 1);
                batcher_seal(&f.batcher);
        }
        /* in turn with other batches, small ones first */
        assert_taken(&f, 1);
        assert_taken(&f, 200);
        assert_taken(&f, 2);
        assert_taken(&f, 300);
        assert_taken(&f, 100);
        assert_null(batcher_take(&f.batcher));
        assert_true(batcher_empty(&f.batcher));
        stop(&f);
}

static void test_doubtful_batches_wait_until_they_are_due(void **state)
{
        struct fixture f;
        struct batch *b;

        (void)state;
        start(&f, &(struct batcher_limits){.rows = 10, .bytes = 1000, .linger_ms = 60000, .sealed = 2});
        return_doubtful(&f, 1, 1, uv_now(&f.loop) + 30);
        return_doubtful(&f, 2, 1, uv_now(&f.loop) + 60000);
        assert_null(batcher_take(&f.batcher));
        assert_false(batcher_empty(&f.batcher));
        f.sealed = 0;
        uv_run(&f.loop, UV_RUN_ONCE);
        assert_int_equal(f.sealed, 1); /* the callback reports a batch */
        assert_taken(&f, 1);
        assert_null(batcher_take(&f.batcher));
        b = batcher_take_any(&f.batcher);
        assert_int_equal(b->rows[0].line.number, 2);
        batch_free(b);
        stop(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split_and_remove),
                cmocka_unit_test(test_sealed_on_rows_and_bytes),
                cmocka_unit_test(test_sealed_on_age),
                cmocka_unit_test(test_doubtful_batches_stand_aside),
                cmocka_unit_test(test_doubtful_batches_wait_until_they_are_due),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
