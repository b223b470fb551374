/* A sweep over the spool: lines are added, replayed and settled while each of its disk operations fails
 * once, in turn. Every line is reported durable once and replayed in order, and nothing is left at the end. */
#include "spool/spool.h"

#include "faulty_disk.h"
#include "base/list.h"

enum { ADDED = 60, AT_ONCE = 20, MANY = SPOOL_CHUNK_LINES + 1000 };

struct owner {
        uv_loop_t loop;
        struct memory memory;
        struct spool spool;
        bool may_drain;
        bool closed;
        unsigned added;
        unsigned spooled;
        unsigned drained; /* in a row: starts over where the spool does */
        unsigned settled;
        bool seen[MANY];
        bool holding; /* replayed lines are kept ... */
        struct line held[MANY];
        unsigned held_len; /* ... here, not settled */
};

static void on_spooled(void *ctx, struct line *line)
{
        struct owner *o = ctx;

        assert_int_equal(line->number, ++o->spooled);
        block_unref(line->block);
}

static bool may_drain(void *ctx)
{
        return ((struct owner *)ctx)->may_drain;
}

static bool may_erase(void *ctx)
{
        (void)ctx;
        return true;
}

/* After a write wrongly reported as failed a line may be replayed twice, but never out of order. */
static void on_drained(void *ctx, struct line *line)
{
        struct owner *o = ctx;
        char expected[32];

        snprintf(expected, sizeof(expected), "line %u", (unsigned)line->number);
        assert_true(slice_eq(line->text, slice_str(expected)));
        assert_true(line->in_spool && line->receipt.us == (int64_t)line->number * 10);
        assert_true(line->receipt.number == UINT64_MAX - line->number);
        for (unsigned i = 1; i < line->number; i++)
                assert_true(o->seen[i - 1]);
        o->seen[line->number - 1] = true;
        if (o->holding) {
                o->held[o->held_len++] = *line;
                return;
        }
        o->settled++;
        spool_settle(&o->spool, line->in_spool);
        block_unref(line->block);
}

static void on_job_over(void *ctx)
{
        (void)ctx;
}

static void on_closed(struct spool *s)
{
        container_of(s, struct owner, spool)->closed = true;
}

static void add_lines(struct owner *o)
{
        for (int i = 0; i < AT_ONCE; i++) {
                struct line line = {.block = block_new_exact(&o->memory, 32), .number = ++o->added};

                line.receipt = (struct receipt){(int64_t)line.number * 10, UINT64_MAX - line.number};
                line.text.ptr = line.block->data;
                line.text.len = (size_t)snprintf(line.block->data, 32, "line %u", o->added);
                spool_add_take(&o->spool, &line, &(struct line_from){"uid 1", 1, line.number, "meta"});
        }
}

/* Does not wait for the retry. */
static void run_until_idle(struct owner *o)
{
        for (int turns = 0; turns < 2000 && (o->spool.working || !spool_at_rest(&o->spool) ||
                                             (o->may_drain && o->spool.lines > 0));
             turns++) {
                if (spool_failing(&o->spool))
                        spool_retry(&o->spool);
                spool_flush(&o->spool);
                uv_run(&o->loop, o->spool.working ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        }
        assert_false(o->spool.working);
}

static void converse(const char *dir)
{
        static const struct spool_ops ops = {on_spooled, may_drain, may_erase, on_drained, on_job_over};
        char error[SPOOL_ERROR_BYTES];
        struct owner o = {0};

        memory_init(&o.memory, 1 << 20);
        assert_int_equal(uv_loop_init(&o.loop), 0);
        if (spool_open(&o.spool, &o.loop, dir, 64 << 20, &o.memory, &ops, &o, error) == 0) {
                while (o.added < ADDED) {
                        o.may_drain = o.added == AT_ONCE;
                        add_lines(&o);
                        run_until_idle(&o);
                }
                o.may_drain = true;
                spool_kick(&o.spool);
                run_until_idle(&o);
                assert_int_equal(o.spooled, ADDED);
                assert_true(o.settled >= ADDED);
                assert_int_equal(o.spool.lines, 0);
                assert_int_equal(o.spool.bytes, 0);
                assert_int_equal(o.spool.fed, 0);
                assert_int_equal(o.spool.lost, 0);
        }
        spool_close(&o.spool, on_closed);
        uv_run(&o.loop, UV_RUN_DEFAULT);
        assert_true(o.closed);
        assert_int_equal(uv_loop_close(&o.loop), 0);
        memory_deinit(&o.memory);
}

static void assert_empty(const char *dir)
{
        char aside[SPOOL_PATH_BYTES];
        struct spool_file f;

        assert_int_equal(spool_file_open(&f, dir, 64 << 20, aside), SPOOL_OK);
        assert_string_equal(aside, "");
        assert_int_equal(f.contents.lines, 0);
        assert_int_equal(f.contents.damaged, 0);
        spool_file_close(&f);
}

static void test_sweep(void **state)
{
        int n = 0;

        (void)state;
        faulty_disk.error = SQLITE_IOERR_WRITE;
        do {
                char dir[64];

                make_dir(dir);
                faulty_disk.hit = false;
                faulty_disk.countdown = n++;
                converse(dir);
                faulty_disk.countdown = -1;
                assert_empty(dir);
                remove_dir(dir);
        } while (faulty_disk.hit);
        assert_true(n > 40);
}

/* While a job continues to read, all replayed lines are given up. */
static void test_rewind_during_a_job(void **state)
{
        static const struct spool_ops ops = {on_spooled, may_drain, may_erase, on_drained, on_job_over};
        char error[SPOOL_ERROR_BYTES];
        struct owner *o = calloc(1, sizeof(*o));
        char dir[64];

        (void)state;
        make_dir(dir);
        memory_init(&o->memory, 1 << 24);
        assert_int_equal(uv_loop_init(&o->loop), 0);
        assert_int_equal(spool_open(&o->spool, &o->loop, dir, 64 << 20, &o->memory, &ops, o, error), 0);
        while (o->added < MANY)
                add_lines(o);
        run_until_idle(o);
        o->may_drain = true;
        o->holding = true;
        spool_kick(&o->spool);
        while (o->held_len == 0)
                uv_run(&o->loop, UV_RUN_ONCE);
        spool_kick(&o->spool);
        assert_true(o->spool.working);
        for (unsigned i = 0; i < o->held_len; i++) {
                spool_forget(&o->spool, o->held[i].in_spool);
                block_unref(o->held[i].block);
        }
        memset(o->seen, 0, sizeof(o->seen));
        o->holding = false;
        spool_rewind(&o->spool);
        run_until_idle(o);
        assert_int_equal(o->settled, MANY);
        assert_int_equal(o->spool.lines, 0);
        spool_close(&o->spool, on_closed);
        uv_run(&o->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&o->loop), 0);
        memory_deinit(&o->memory);
        assert_empty(dir);
        remove_dir(dir);
        free(o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rewind_during_a_job),
                cmocka_unit_test(test_sweep),
        };

        return cmocka_run_group_tests(tests, faulty_disk_set_up, NULL);
}
