/* Gathers records into batches, and hands one after the other to the writer. Batches are numbered in their
 * order: what has to wait for a record waits for the number of its batch. */
#include "hierarchy/hierarchy.h"

#include <assert.h>
#include <stdlib.h>

static void start_next(struct hierarchy *h);

/* --- gathering --- */

static void seal(struct hierarchy *h)
{
        struct hierarchy_batch *b = h->open;

        h->open = NULL;
        uv_timer_stop(&h->linger);
        list_append(&h->sealed, &b->queue);
        h->sealed_len++;
        start_next(h);
}

static void on_linger_over(uv_timer_t *timer)
{
        seal(timer->data);
}

static void open_batch(struct hierarchy *h)
{
        h->open = hierarchy_batch_new(h->memory, ++h->last);
        uv_timer_start(&h->linger, on_linger_over, h->limits.linger_ms, 0);
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
        if (h->open->len >= h->limits.rows || h->open->bytes >= h->limits.bytes)
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

void hierarchy_set_limits(struct hierarchy *h, const struct hierarchy_limits *limits)
{
        h->limits = *limits;
}

void hierarchy_drain(struct hierarchy *h)
{
        h->limits.linger_ms = 0;
        if (h->open)
                seal(h);
}

/* --- writing --- */

static void free_batch(struct hierarchy *h, struct hierarchy_batch *b)
{
        struct row row;

        while (hierarchy_batch_unfollow(b, &row)) {
                h->followers--;
                h->ops->on_follower(h->ctx, &row);
        }
        hierarchy_batch_free(b);
}

static struct hierarchy_batch *take_sealed(struct hierarchy *h)
{
        struct hierarchy_batch *b;

        if (list_empty(&h->sealed))
                return NULL;
        b = container_of(h->sealed.next, struct hierarchy_batch, queue);
        list_remove(&b->queue);
        h->sealed_len--;
        return b;
}

static void start_next(struct hierarchy *h)
{
        struct hierarchy_batch *b = hierarchy_writer_idle(&h->writer) ? take_sealed(h) : NULL;

        if (b)
                hierarchy_writer_write_take(&h->writer, b);
}

static void on_idle(void *ctx)
{
        start_next(ctx);
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

        h->done = b->number;
        free_batch(h, b);
        start_next(h);
}

/* --- giving up --- */

static void evacuate_batch(struct hierarchy *h, struct hierarchy_batch *b, size_t start, line_take_cb *cb,
                           void *ctx)
{
        struct row row;

        for (size_t i = start; i < b->len; i++)
                cb(ctx, &b->rows[i].line);
        while (hierarchy_batch_unfollow(b, &row)) {
                h->followers--;
                cb(ctx, &row.line);
        }
        hierarchy_batch_free(b);
}

void hierarchy_evacuate(struct hierarchy *h, const char *why, line_take_cb *cb, void *ctx)
{
        size_t start;
        struct hierarchy_batch *b = hierarchy_writer_drop(&h->writer, why, &start);

        if (b)
                evacuate_batch(h, b, start, cb, ctx);
        while ((b = take_sealed(h)))
                evacuate_batch(h, b, 0, cb, ctx);
        if (h->open) {
                uv_timer_stop(&h->linger);
                evacuate_batch(h, h->open, 0, cb, ctx);
                h->open = NULL;
        }
        h->done = h->last;
}

/* --- the beginning and the end --- */

void hierarchy_open(struct hierarchy *h, uv_loop_t *loop, const char *url, struct memory *memory,
                    const struct hierarchy_limits *limits, const struct hierarchy_ops *ops, void *ctx)
{
        static const struct hierarchy_writer_ops writer_ops = {
                .on_idle = on_idle, .settle = settle, .on_written = on_written, .on_done = on_done};

        *h = (struct hierarchy){.memory = memory, .limits = *limits, .ops = ops, .ctx = ctx};
        list_init(&h->sealed);
        uv_timer_init(loop, &h->linger);
        h->linger.data = h;
        hierarchy_writer_open(&h->writer, loop, url, &writer_ops, h);
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct hierarchy *h = handle->data;

        h->close_cb(h);
}

static void on_writer_closed(struct hierarchy_writer *w)
{
        struct hierarchy *h = container_of(w, struct hierarchy, writer);

        uv_close((uv_handle_t *)&h->linger, on_timer_closed);
}

void hierarchy_close(struct hierarchy *h, void (*cb)(struct hierarchy *))
{
        assert(!h->open && h->sealed_len == 0);
        h->close_cb = cb;
        hierarchy_writer_close(&h->writer, on_writer_closed);
}
