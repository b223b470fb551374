#include "batcher.h"

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
        uv_timer_init(loop, &b->linger);
        b->linger.data = b;
}

static void on_closed(uv_handle_t *handle)
{
        struct batcher *b = handle->data;

        b->close_cb(b);
}

void batcher_close(struct batcher *b, void (*cb)(struct batcher *))
{
        assert(batcher_empty(b));
        b->close_cb = cb;
        uv_close((uv_handle_t *)&b->linger, on_closed);
}

void batcher_seal(struct batcher *b)
{
        struct batch *batch = b->open;

        if (!batch)
                return;
        b->open = NULL;
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
                b->open = batch_new(b->memory);
                b->open->opened = uv_now(b->loop);
                uv_timer_start(&b->linger, on_linger_over, b->linger_ms, 0);
        }
        batch_add_take(b->open, row);
        if (b->open->len >= b->max_rows || b->open->bytes >= b->max_bytes)
                batcher_seal(b);
}

void batcher_return(struct batcher *b, struct batch *batch)
{
        if (batch->suspicion.failures > 0)
                list_append(&b->sealed, &batch->queue);
        else
                list_prepend(&b->sealed, &batch->queue);
        b->sealed_len++;
        b->on_sealed(b->ctx);
}

struct batch *batcher_take(struct batcher *b)
{
        struct batch *batch;

        if (list_empty(&b->sealed))
                return NULL;
        batch = container_of(b->sealed.next, struct batch, queue);
        list_remove(&batch->queue);
        b->sealed_len--;
        return batch;
}
