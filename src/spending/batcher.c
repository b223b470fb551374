#include "spending/batcher.h"

#include <assert.h>

void batcher_init(struct batcher *b, uv_loop_t *loop, struct memory *memory,
                  const struct batcher_limits *limits, void (*on_sealed)(void *ctx), void *ctx)
{
        *b = (struct batcher){
                .loop = loop,
                .memory = memory,
                .max_rows = limits->rows,
                .max_bytes = limits->bytes,
                .linger_ms = limits->linger_ms,
                .max_sealed = limits->sealed,
                .on_sealed = on_sealed,
                .ctx = ctx,
        };
        list_init(&b->sealed);
        list_init(&b->doubtful);
        uv_timer_init(loop, &b->linger);
        b->linger.data = b;
        uv_timer_init(loop, &b->wake);
        b->wake.data = b;
}

static void on_wake_closed(uv_handle_t *handle)
{
        struct batcher *b = handle->data;

        if (b->close_cb)
                b->close_cb(b);
}

void batcher_set_limits(struct batcher *b, const struct batcher_limits *limits)
{
        b->max_rows = limits->rows;
        b->max_bytes = limits->bytes;
        b->linger_ms = limits->linger_ms;
        b->max_sealed = limits->sealed;
}

static void on_linger_closed(uv_handle_t *handle)
{
        struct batcher *b = handle->data;

        uv_close((uv_handle_t *)&b->wake, on_wake_closed);
}

void batcher_close(struct batcher *b, void (*cb)(struct batcher *))
{
        assert(batcher_empty(b));
        b->close_cb = cb;
        uv_close((uv_handle_t *)&b->linger, on_linger_closed);
}

void batcher_seal(struct batcher *b)
{
        struct batch *batch = b->open;

        if (!batch)
                return;
        b->open = NULL;
        b->last_len = batch->len;
        uv_timer_stop(&b->linger);
        list_append(&b->sealed, &batch->queue);
        b->sealed_len++;
        b->on_sealed(b->ctx);
}

static void on_linger_over(uv_timer_t *timer)
{
        batcher_seal(timer->data);
}

void batcher_add_take(struct batcher *b, const struct row *row)
{
        if (!b->open) {
                b->open = batch_new(b->memory, b->last_len ? b->last_len : 1);
                b->open->opened = uv_now(b->loop);
                uv_timer_start(&b->linger, on_linger_over, b->linger_ms, 0);
        }
        batch_add_take(b->open, row);
        if (b->open->len >= b->max_rows || b->open->bytes >= b->max_bytes)
                batcher_seal(b);
}

static void on_wake(uv_timer_t *timer)
{
        struct batcher *b = timer->data;

        b->on_sealed(b->ctx);
}

/* Small ones first: so a bad row is soon found, and few batches wait. */
static void insert_doubtful(struct batcher *b, struct batch *batch)
{
        struct list *next = b->doubtful.next;

        while (next != &b->doubtful && container_of(next, struct batch, queue)->len <= batch->len)
                next = next->next;
        list_append(next, &batch->queue);
        b->doubtful_rows += batch->len;
        if (batch->due > 0)
                b->resting_rows += batch->len;
}

static void remove_doubtful(struct batcher *b, struct batch *batch)
{
        list_remove(&batch->queue);
        b->doubtful_rows -= batch->len;
        if (batch->due > 0)
                b->resting_rows -= batch->len;
}

void batcher_return(struct batcher *b, struct batch *batch)
{
        if (batch->doubtful) {
                insert_doubtful(b, batch);
        } else {
                list_prepend(&b->sealed, &batch->queue);
                b->sealed_len++;
        }
        b->on_sealed(b->ctx);
}

static struct batch *take_sealed(struct batcher *b)
{
        struct batch *batch;

        if (list_empty(&b->sealed))
                return NULL;
        batch = container_of(b->sealed.next, struct batch, queue);
        list_remove(&batch->queue);
        b->sealed_len--;
        return batch;
}

static struct batch *first_due(struct batcher *b)
{
        uint64_t now = uv_now(b->loop);
        uint64_t due = UINT64_MAX;

        for (struct list *l = b->doubtful.next; l != &b->doubtful; l = l->next) {
                struct batch *batch = container_of(l, struct batch, queue);

                if (batch->due <= now)
                        return batch;
                if (batch->due < due)
                        due = batch->due;
        }
        if (due < UINT64_MAX)
                uv_timer_start(&b->wake, on_wake, due - now, 0);
        return NULL;
}

static struct batch *take_doubtful(struct batcher *b)
{
        struct batch *batch = first_due(b);

        if (batch)
                remove_doubtful(b, batch);
        return batch;
}

void batcher_wake(struct batcher *b)
{
        for (struct list *l = b->doubtful.next; l != &b->doubtful; l = l->next) {
                struct batch *batch = container_of(l, struct batch, queue);

                if (batch->due > 0)
                        batch->due = 1; /* long ago */
        }
        b->on_sealed(b->ctx);
}

struct batch *batcher_take(struct batcher *b)
{
        struct batch *batch = b->doubtful_next ? take_doubtful(b) : take_sealed(b);

        if (batch)
                b->doubtful_next = !b->doubtful_next;
        else
                batch = b->doubtful_next ? take_sealed(b) : take_doubtful(b);
        return batch;
}

struct batch *batcher_take_any(struct batcher *b)
{
        struct batch *batch = take_sealed(b);

        if (!batch && !list_empty(&b->doubtful)) {
                batch = container_of(b->doubtful.next, struct batch, queue);
                remove_doubtful(b, batch);
        }
        return batch;
}
