#ifndef TEST_BATCHER_FIXTURE_H
#define TEST_BATCHER_FIXTURE_H

/* A batcher, its writers and a loop that has nothing but a clock, for test_batcher.c. Include test.h first. */

#include "spending/batcher.h"

enum { WRITERS = 2 };

/* --- a loop that has nothing but a clock --- */

static uint64_t now_ms;

struct timer {
        uv_timer_t *handle;
        uv_timer_cb cb;
        uint64_t due; /* UINT64_MAX: it does not run */
};

static struct timer timers[2];

static struct timer *timer_of(const uv_timer_t *handle)
{
        for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
                if (timers[i].handle == handle)
                        return &timers[i];
        }
        abort();
}

uint64_t uv_now(const uv_loop_t *loop)
{
        (void)loop;
        return now_ms;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *handle)
{
        (void)loop;
        for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
                if (timers[i].handle)
                        continue;
                timers[i] = (struct timer){handle, NULL, UINT64_MAX};
                return 0;
        }
        abort();
}

int uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
        assert_int_equal(repeat, 0);
        timer_of(handle)->cb = cb;
        timer_of(handle)->due = now_ms + timeout;
        return 0;
}

int uv_timer_stop(uv_timer_t *handle)
{
        timer_of(handle)->due = UINT64_MAX;
        return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
        timer_of((uv_timer_t *)handle)->handle = NULL;
        cb(handle);
}

/* The end of a loop turn: what is due now. */
static void turn(void)
{
        for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
                if (timers[i].due > now_ms)
                        continue;
                timers[i].due = UINT64_MAX;
                timers[i].cb(timers[i].handle);
        }
}

static void pass(uint64_t ms)
{
        for (turn(); ms > 0; ms--) {
                now_ms++;
                turn();
        }
}

/* --- fake writers: the test decides when they commit --- */

struct fixture {
        struct batcher batcher;
        struct memory memory;
        struct batch *writing[WRITERS];
        uint64_t taken_at[WRITERS];
        bool away;
        uint64_t added;
        size_t taken;  /* batches */
        uint64_t wait; /* the longest that a taken row waited, in ms */
        bool closed;
};

static unsigned busy(const struct fixture *f)
{
        unsigned n = 0;

        for (size_t i = 0; i < WRITERS; i++)
                n += f->writing[i] != NULL;
        return n;
}

/* The length of the batch that a writer writes; 0: none. */
static size_t writing_len(const struct fixture *f, size_t i)
{
        return f->writing[i] ? f->writing[i]->len : 0;
}

static void take(struct fixture *f, size_t i)
{
        struct batch *b = batcher_take(&f->batcher, (struct batcher_busy){.ordinary = busy(f)});

        if (!b)
                return;
        f->writing[i] = b;
        f->taken_at[i] = now_ms;
        f->taken++;
        if (b->opened > 0 && now_ms - b->opened > f->wait)
                f->wait = now_ms - b->opened;
}

static void on_waiting(void *ctx)
{
        struct fixture *f = ctx;

        for (size_t i = 0; i < WRITERS && !f->away; i++) {
                if (!f->writing[i])
                        take(f, i);
        }
}

static void on_closed(struct batcher *b)
{
        container_of(b, struct fixture, batcher)->closed = true;
}

static void start_with(struct fixture *f, struct pace_limits limits)
{
        *f = (struct fixture){0};
        memset(timers, 0, sizeof(timers));
        now_ms = 1000;
        memory_init(&f->memory, SIZE_MAX);
        batcher_init(&f->batcher, NULL, &f->memory, &limits, on_waiting, f);
}

static void start(struct fixture *f)
{
        start_with(f, (struct pace_limits){.rows = 10000, .bytes = 8 << 20, .linger_ms = 50});
}

static void stop(struct fixture *f)
{
        struct batch *b;

        for (size_t i = 0; i < WRITERS; i++) {
                if (f->writing[i])
                        batch_free(f->writing[i]);
        }
        while ((b = batcher_take_any(&f->batcher)))
                batch_free(b);
        batcher_close(&f->batcher, on_closed);
        assert_true(f->closed);
        memory_deinit(&f->memory); /* asserts that nothing is left */
}

static void add_one(struct fixture *f, size_t bytes, bool little)
{
        struct row row = {.line = {.number = ++f->added, .text = {"", bytes}}};

        batcher_add_take(&f->batcher, &row, little ? SENDER_LITTLE : SENDER_ORDINARY);
}

static void add_of(struct fixture *f, size_t rows, size_t bytes)
{
        for (size_t i = 0; i < rows; i++)
                add_one(f, bytes, false);
}

static void add(struct fixture *f, size_t rows)
{
        add_of(f, rows, 400);
}

#endif
