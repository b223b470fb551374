/* Collects records in batches and hands one after the other to the writer. Batches are numbered in order, so
 * whatever must wait for a record waits for its batch's number. A batch with rows that cannot be written
 * counts as done but is set aside; from then on each line is checked for dependence on that batch. */
#include "hierarchy/hierarchy.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

static void start_next(struct hierarchy *h);

/* --- gathering --- */

static void seal(struct hierarchy *h)
{
        struct hierarchy_batch *b = h->open;

        h->open = NULL;
        uv_timer_stop(&h->gather);
        list_append(&h->sealed, &b->queue);
        h->sealed_len++;
        start_next(h);
}

static void on_gathered(uv_timer_t *timer);

/* The idle writer takes the open batch, but keeps the gap from the last commit. */
static void seal_if_idle(struct hierarchy *h)
{
        uint64_t now = uv_now(h->gather.loop);
        uint64_t due;

        if (!h->open || !hierarchy_writer_idle(&h->writer))
                return;
        due = h->done_at + pace_wait_ms(&h->pace, h->open->len, h->open->bytes);
        if (due > now)
                uv_timer_start(&h->gather, on_gathered, due - now, 0);
        else
                seal(h);
}

static void on_gathered(uv_timer_t *timer)
{
        seal_if_idle(timer->data);
}

/* The idle writer takes it when the loop has read what has come. */
static void open_batch(struct hierarchy *h)
{
        h->open = hierarchy_batch_new(h->memory, ++h->last);
        uv_timer_start(&h->gather, on_gathered, 0, 0);
}

uint64_t hierarchy_add_take(struct hierarchy *h, const struct hierarchy_row *row)
{
        uint64_t number;

        if (!h->open)
                open_batch(h);
        if (!hierarchy_batch_add_take(h->open, row)) {
                seal(h);
                open_batch(h);
                hierarchy_batch_add_take(h->open, row);
        }
        number = h->open->number;
        if (pace_full(&h->pace, h->open->len, h->open->bytes))
                seal(h);
        return number;
}

static struct hierarchy_batch *find_batch(struct hierarchy *h, uint64_t number)
{
        if (h->writer.batch && h->writer.batch->number == number)
                return h->writer.batch;
        for (struct list *l = h->sealed.next; l != &h->sealed; l = l->next) {
                struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                if (b->number == number)
                        return b;
        }
        return h->open;
}

void hierarchy_follow_take(struct hierarchy *h, uint64_t number, const struct row *row)
{
        struct hierarchy_batch *b = find_batch(h, number);

        assert(b && b->number == number);
        hierarchy_batch_follow_take(b, row);
        h->followers++;
}

bool hierarchy_hold_take(struct hierarchy *h, const struct row *row)
{
        struct row held = *row;

        if (!hierarchy_aside_holds(&h->aside, row))
                return false;
        h->ops->on_aside(h->ctx, &held.line);
        hierarchy_aside_hold_take(&h->aside, &held);
        return true;
}

static struct pace_limits batch_limits(struct pace_limits limits)
{
        if (limits.rows > HIERARCHY_ROWS_MAX)
                limits.rows = HIERARCHY_ROWS_MAX;
        if (limits.bytes > HIERARCHY_BYTES_MAX)
                limits.bytes = HIERARCHY_BYTES_MAX;
        return limits;
}

void hierarchy_set_limits(struct hierarchy *h, const struct pace_limits *limits)
{
        const struct pace_limits of_batch = batch_limits(*limits);

        pace_set_limits(&h->pace, &of_batch);
        h->aside_max = limits->rows;
}

void hierarchy_hurry(struct hierarchy *h)
{
        h->done_at = 0; /* long ago */
        seal_if_idle(h);
}

void hierarchy_drain(struct hierarchy *h)
{
        h->draining = true;
        h->pace.limits.linger_ms = 0;
        if (h->open)
                seal(h);
        hierarchy_aside_hurry(&h->aside);
        start_next(h);
}

/* --- writing --- */

static void abandon(void *ctx, struct line *line)
{
        struct hierarchy *h = ctx;

        h->ops->on_abandoned(h->ctx, line);
}

/* The writer's batch is left alone. */
static void give_up_aside(struct hierarchy *h)
{
        if (!h->writer.batch || list_empty(&h->writer.batch->queue))
                hierarchy_aside_evacuate(&h->aside, abandon, h);
}

void hierarchy_give_up(struct hierarchy *h)
{
        h->giving_up = true;
        give_up_aside(h);
}

/* Lets followers continue, unless a batch set aside must hold them. */
static void release_followers(struct hierarchy *h, struct hierarchy_batch *b)
{
        struct row row;

        while (hierarchy_batch_unfollow(b, &row)) {
                h->followers--;
                if (!hierarchy_hold_take(h, &row))
                        h->ops->on_follower(h->ctx, &row);
        }
}

static void note_done(struct hierarchy *h, const struct hierarchy_batch *b)
{
        if (b->number > h->done)
                h->done = b->number;
}

/* Lets spending that waited for a batch set aside continue. */
static void follow_released(struct hierarchy *h)
{
        struct row row;

        while (hierarchy_aside_pop(&h->aside, &row))
                h->ops->on_follower(h->ctx, &row);
}

static void finish_batch(struct hierarchy *h, struct hierarchy_batch *b)
{
        note_done(h, b);
        hierarchy_aside_remove(&h->aside, b);
        release_followers(h, b);
        hierarchy_batch_free(b);
        follow_released(h);
        if (h->giving_up)
                give_up_aside(h);
}

static void tell_held(void *ctx, struct line *line)
{
        struct hierarchy *h = ctx;

        h->ops->on_aside(h->ctx, line);
}

/* Returns the next batch that can be written whole as far as is known; NULL if there is none. */
static struct hierarchy_batch *take_sealed(struct hierarchy *h)
{
        while (!list_empty(&h->sealed)) {
                struct hierarchy_batch *b = container_of(h->sealed.next, struct hierarchy_batch, queue);

                list_remove(&b->queue);
                h->sealed_len--;
                b = hierarchy_aside_filter(&h->aside, b, tell_held, h);
                if (b->len > 0)
                        return b;
                finish_batch(h, b);
        }
        return NULL;
}

/* Returns the next batch that was set aside and is due; NULL if there is none. A client that is gone sends its unacked lines
 * again, perhaps through another worker or daemon. Its lines here are dropped: they would overwrite what it sent since then. */
static struct hierarchy_batch *take_aside(struct hierarchy *h)
{
        struct hierarchy_batch *b;

        while ((b = hierarchy_aside_next(&h->aside, uv_now(h->gather.loop)))) {
                if (!hierarchy_batch_has_gone(b))
                        return b;
                hierarchy_aside_drop_gone(&h->aside, abandon, h);
                follow_released(h);
        }
        return NULL;
}

static struct hierarchy_batch *take_next(struct hierarchy *h)
{
        struct hierarchy_batch *b = h->turn == HIERARCHY_TURN_ASIDE ? take_aside(h) : NULL;

        if (b) {
                h->turn = HIERARCHY_TURN_SEALED;
                return b;
        }
        h->turn = HIERARCHY_TURN_ASIDE;
        b = take_sealed(h);
        return b ? b : take_aside(h);
}

static void on_wake(uv_timer_t *timer)
{
        start_next(timer->data);
}

static void start_next(struct hierarchy *h)
{
        struct hierarchy_batch *b;
        uint64_t now = uv_now(h->gather.loop);
        uint64_t due;

        if (!hierarchy_writer_idle(&h->writer))
                return;
        b = take_next(h);
        if (b) {
                h->taken_us = clock_monotonic_us();
                b->gathers = false;
                hierarchy_writer_write_take(&h->writer, b);
                return;
        }
        due = hierarchy_aside_due(&h->aside);
        if (due < UINT64_MAX)
                uv_timer_start(&h->wake, on_wake, due > now ? due - now : 0, 0);
}

/* What gathered while the writer was busy is its next batch. */
static void on_idle(void *ctx)
{
        struct hierarchy *h = ctx;

        if (h->sealed_len == 0 && !uv_is_active((uv_handle_t *)&h->gather))
                seal_if_idle(h);
        start_next(h);
}

static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct hierarchy *h = ctx;

        h->ops->settle(h->ctx, line, outcome, reject);
}

static void on_written(void *ctx, bool new_accounts)
{
        struct hierarchy *h = ctx;

        h->ops->on_written(h->ctx, new_accounts);
}

static void on_done(void *ctx, struct hierarchy_batch *b)
{
        struct hierarchy *h = ctx;

        h->done_at = uv_now(h->gather.loop);
        if (b->aside == 0) /* else much of the time went into something else */
                pace_learn(&h->pace, b->len, b->bytes, clock_monotonic_us() - h->taken_us);
        finish_batch(h, b);
}

static void on_fault(void *ctx, struct line *line)
{
        struct hierarchy *h = ctx;

        h->ops->on_fault(h->ctx, line);
}

/* No row of the batch is left. */
static void finish_aside(struct hierarchy *h, struct hierarchy_batch *b)
{
        b->start = b->len;
        finish_batch(h, b);
}

/* Takes the line over if it may not wait. */
static bool give_up_line(void *ctx, struct line *line)
{
        struct hierarchy *h = ctx;

        if (h->ops->may_rest(h->ctx, line))
                return false;
        h->ops->on_abandoned(h->ctx, line);
        return true;
}

/* Notes what is known of the clients now. Returns true if rows of the batch must be tried apart from others. */
static bool note_senders(struct hierarchy *h, struct hierarchy_batch *b)
{
        bool apart = false;

        for (size_t i = b->start; i < b->len; i++) {
                b->rows[i].sender = h->ops->sender(h->ctx, &b->rows[i].line);
                apart |= b->rows[i].sender >= SENDER_NEW && b->rows[i].sender > b->sender;
        }
        return apart;
}

static void on_aside(void *ctx, struct hierarchy_batch *b, bool stuck)
{
        struct hierarchy *h = ctx;

        for (size_t i = b->start; i < b->len; i++)
                h->ops->on_aside(h->ctx, &b->rows[i].line);
        hierarchy_aside_put(&h->aside, b);
        note_done(h, b);
        release_followers(h, b);
        if (h->draining && (stuck || h->giving_up))
                hierarchy_aside_evacuate(&h->aside, abandon, h);
        else if (b->len - b->start > 1 && (note_senders(h, b) || stuck))
                hierarchy_aside_split(&h->aside, b, give_up_line, h);
        else if (stuck && give_up_line(h, &b->rows[b->start].line))
                finish_aside(h, b);
}

/* --- giving up --- */

static void evacuate_batch(struct hierarchy *h, struct hierarchy_batch *b, line_take_cb *cb, void *ctx)
{
        struct row row;

        for (size_t i = b->start; i < b->len; i++)
                cb(ctx, &b->rows[i].line);
        while (hierarchy_batch_unfollow(b, &row)) {
                h->followers--;
                cb(ctx, &row.line);
        }
        hierarchy_batch_free(b);
}

void hierarchy_evacuate(struct hierarchy *h, const char *why, line_take_cb *cb, void *ctx)
{
        struct hierarchy_batch *b = hierarchy_writer_drop(&h->writer, why);

        if (b && list_empty(&b->queue)) /* otherwise it was set aside */
                evacuate_batch(h, b, cb, ctx);
        while (!list_empty(&h->sealed)) {
                b = container_of(h->sealed.next, struct hierarchy_batch, queue);
                list_remove(&b->queue);
                h->sealed_len--;
                evacuate_batch(h, b, cb, ctx);
        }
        if (h->open) {
                uv_timer_stop(&h->gather);
                evacuate_batch(h, h->open, cb, ctx);
                h->open = NULL;
        }
        hierarchy_aside_evacuate(&h->aside, cb, ctx);
        uv_timer_stop(&h->wake);
        h->done = h->last;
}

/* --- the beginning and the end --- */

void hierarchy_open(struct hierarchy *h, uv_loop_t *loop, const char *url, struct memory *memory,
                    const struct pace_limits *limits, const struct hierarchy_ops *ops, void *ctx)
{
        static const struct hierarchy_writer_ops writer_ops = {.on_idle = on_idle,
                                                               .settle = settle,
                                                               .on_written = on_written,
                                                               .on_done = on_done,
                                                               .on_fault = on_fault,
                                                               .on_aside = on_aside};

        *h = (struct hierarchy){.memory = memory, .ops = ops, .ctx = ctx};
        pace_init(&h->pace, limits);
        hierarchy_set_limits(h, limits);
        list_init(&h->sealed);
        uv_timer_init(loop, &h->gather);
        h->gather.data = h;
        uv_timer_init(loop, &h->wake);
        h->wake.data = h;
        hierarchy_aside_init(&h->aside, memory);
        hierarchy_writer_open(&h->writer, loop, url, &writer_ops, h);
}

static void on_timers_closed(uv_handle_t *handle)
{
        struct hierarchy *h = handle->data;

        hierarchy_aside_deinit(&h->aside);
        if (h->close_cb)
                h->close_cb(h);
}

static void on_gather_closed(uv_handle_t *handle)
{
        struct hierarchy *h = handle->data;

        uv_close((uv_handle_t *)&h->wake, on_timers_closed);
}

static void on_writer_closed(struct hierarchy_writer *w)
{
        struct hierarchy *h = container_of(w, struct hierarchy, writer);

        uv_close((uv_handle_t *)&h->gather, on_gather_closed);
}

void hierarchy_close(struct hierarchy *h, void (*cb)(struct hierarchy *))
{
        assert(!h->open && h->sealed_len == 0);
        h->close_cb = cb;
        hierarchy_writer_close(&h->writer, on_writer_closed);
}

size_t hierarchy_new_rows(const struct hierarchy *h)
{
        size_t rows = hierarchy_aside_new_rows(&h->aside) + (h->open ? h->open->new_rows : 0);

        for (struct list *l = h->sealed.next; l != &h->sealed; l = l->next)
                rows += container_of(l, struct hierarchy_batch, queue)->new_rows;
        return rows;
}

void hierarchy_stats(const struct hierarchy *h, struct stats *r)
{
        r->bad_rows += h->aside.lines;
        r->hierarchy_rows += h->followers;
}
