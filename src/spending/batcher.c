#include "spending/batcher.h"

#include <assert.h>

enum {
        BULK_MS = 4 * PACE_COMMIT_MS, /* how long after a large batch the batcher expects another one */
        ORDINARY_MS = 1000, /* how long after an ordinary batch one writer is kept free for the next one */
};

/* --- the beginning and the end --- */

void batcher_init(struct batcher *b, uv_loop_t *loop, struct memory *memory, const struct pace_limits *limits,
                  void (*on_waiting)(void *ctx), void *ctx)
{
        *b = (struct batcher){.loop = loop, .memory = memory, .on_waiting = on_waiting, .ctx = ctx};
        pace_init(&b->pace, limits);
        list_init(&b->sealed);
        list_init(&b->doubtful);
        uv_timer_init(loop, &b->gather);
        b->gather.data = b;
        uv_timer_init(loop, &b->wake);
        b->wake.data = b;
}

static void on_wake_closed(uv_handle_t *handle)
{
        struct batcher *b = handle->data;

        if (b->close_cb)
                b->close_cb(b);
}

static void on_gather_closed(uv_handle_t *handle)
{
        struct batcher *b = handle->data;

        uv_close((uv_handle_t *)&b->wake, on_wake_closed);
}

void batcher_close(struct batcher *b, void (*cb)(struct batcher *))
{
        assert(batcher_empty(b));
        b->close_cb = cb;
        uv_close((uv_handle_t *)&b->gather, on_gather_closed);
}

/* --- gathering --- */

static void on_gathered(uv_timer_t *timer)
{
        struct batcher *b = timer->data;

        b->on_waiting(b->ctx);
}

static void gather_for(struct batcher *b, uint64_t ms)
{
        uv_timer_start(&b->gather, on_gathered, ms, 0);
}

void batcher_set_limits(struct batcher *b, const struct pace_limits *limits)
{
        pace_set_limits(&b->pace, limits);
        if (b->open || b->unproven || b->distrusted)
                gather_for(b, 0);
}

static struct batch *close_batch(struct batcher *b)
{
        struct batch *batch = b->open;

        b->open = NULL;
        b->last_len = batch->len;
        if (batch->len >= pace_worth(&b->pace))
                b->bulk_at = uv_now(b->loop);
        if (!b->quick && !b->unproven && !b->distrusted)
                uv_timer_stop(&b->gather);
        return batch;
}

static void seal(struct batcher *b)
{
        list_append(&b->sealed, &close_batch(b)->queue);
        b->sealed_len++;
        b->on_waiting(b->ctx);
}

/* An idle writer takes the batch when the loop has read what has come. */
static struct batch *open_batch(struct batcher *b, size_t expected)
{
        struct batch *batch = batch_new(b->memory, expected);

        batch->opened = uv_now(b->loop);
        gather_for(b, 0);
        return batch;
}

static bool belongs_to_quick(const struct batcher *b)
{
        return b->bulk_at > 0 && uv_now(b->loop) - b->bulk_at < BULK_MS && batcher_quick_takes_more(b);
}

static void add_quick_take(struct batcher *b, const struct row *row)
{
        if (!b->quick)
                b->quick = open_batch(b, 1);
        batch_add_take(b->quick, row);
}

/* Takes the unproven or the distrusted batch. */
static struct batch *close_apart(struct batcher *b, struct batch **apart)
{
        struct batch *batch = *apart;

        *apart = NULL;
        b->doubtful_rows -= batch->len;
        return batch;
}

static void add_apart_take(struct batcher *b, struct batch **apart, const struct row *row)
{
        if (!*apart) {
                *apart = open_batch(b, 1);
                (*apart)->doubtful = true;
                (*apart)->distrusted = apart == &b->distrusted;
        }
        batch_add_take(*apart, row);
        b->doubtful_rows++;
        if (pace_full(&b->pace, (*apart)->len, (*apart)->bytes))
                batcher_return(b, close_apart(b, apart));
}

void batcher_add_take(struct batcher *b, const struct row *row, enum batcher_sender sender)
{
        if (sender == SENDER_NEW || sender == SENDER_DISTRUSTED) {
                add_apart_take(b, sender == SENDER_NEW ? &b->unproven : &b->distrusted, row);
                return;
        }
        if (sender == SENDER_LITTLE && belongs_to_quick(b)) {
                add_quick_take(b, row);
                return;
        }
        if (!b->open)
                b->open = open_batch(b, b->last_len ? b->last_len : 1);
        batch_add_take(b->open, row);
        if (pace_full(&b->pace, b->open->len, b->open->bytes))
                seal(b);
        else if (b->open->len == pace_worth(&b->pace))
                b->on_waiting(b->ctx);
}

void batcher_hurry(struct batcher *b)
{
        struct batch *const gathering[] = {b->open, b->unproven, b->distrusted};
        bool any = false;

        for (size_t i = 0; i < sizeof(gathering) / sizeof(gathering[0]); i++) {
                if (gathering[i])
                        gathering[i]->opened = 0; /* long ago, as is the last commit */
                any |= gathering[i] != NULL;
        }
        if (!any)
                return;
        b->committed_at = 0;
        b->on_waiting(b->ctx);
}

void batcher_drain(struct batcher *b)
{
        b->pace.limits.linger_ms = 0;
        batcher_hurry(b);
}

void batcher_committed(struct batcher *b, const struct batch *batch, uint64_t us)
{
        b->committed_at = uv_now(b->loop);
        if (!batch->doubtful) /* else much of the time went into something else */
                pace_learn(&b->pace, batch->len, batch->bytes, us);
}

/* For how many ms more an idle writer lets rows gather in the batch. */
static uint64_t gathers_ms(const struct batcher *b, const struct batch *batch, unsigned busy)
{
        uint64_t since = busy > 0 ? batch->opened : b->committed_at;
        uint64_t wait =
                busy > 0 ? pace_wait_busy_ms(&b->pace) : pace_wait_ms(&b->pace, batch->len, batch->bytes);
        uint64_t due = since + wait;
        uint64_t now = uv_now(b->loop);

        return due > now && batch->len < pace_worth(&b->pace) ? due - now : 0;
}

/* True if an idle writer should take @batch now; it may be NULL. */
static bool has_gathered(struct batcher *b, const struct batch *batch, unsigned busy)
{
        uint64_t ms;

        if (!batch)
                return false;
        ms = gathers_ms(b, batch, busy);
        if (ms > 0)
                gather_for(b, ms);
        return ms == 0;
}

/* --- doubtful batches --- */

static void on_wake(uv_timer_t *timer)
{
        struct batcher *b = timer->data;

        b->on_waiting(b->ctx);
}

static bool comes_after(const struct batch *a, const struct batch *b)
{
        return a->distrusted == b->distrusted ? a->len >= b->len : a->distrusted;
}

/* Sorts distrusted batches after others, and by size, small batches first: bad rows are found sooner, and few batches
 * wait. */
static void insert_doubtful(struct batcher *b, struct batch *batch)
{
        struct list *next = b->doubtful.next;

        while (next != &b->doubtful && comes_after(batch, container_of(next, struct batch, queue)))
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
        b->on_waiting(b->ctx);
}

/* --- taking --- */

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

/* Such a batch comes after the rows of new clients: many of them would delay the search among rows that may be good. */
static bool is_behind(const struct batch *batch)
{
        return batch->distrusted || batch->due > 0;
}

/* Loop time in ms from which on the batch has waited for a writer. */
static uint64_t waits_since(const struct batch *batch)
{
        return batch->due > 0 ? batch->due : batch->opened;
}

/* Returns the smallest doubtful batch that need not come after the rows of new clients. */
static struct batch *first_searched(const struct batcher *b)
{
        for (struct list *l = b->doubtful.next; l != &b->doubtful; l = l->next) {
                struct batch *batch = container_of(l, struct batch, queue);

                if (!is_behind(batch))
                        return batch;
        }
        return NULL;
}

/* Returns the batch that has waited for longest of those that come last and are due; if none is due, sets the timer. */
static struct batch *first_behind(struct batcher *b)
{
        uint64_t now = uv_now(b->loop);
        uint64_t later = UINT64_MAX;
        struct batch *first = NULL;

        for (struct list *l = b->doubtful.next; l != &b->doubtful; l = l->next) {
                struct batch *batch = container_of(l, struct batch, queue);

                if (!is_behind(batch))
                        continue;
                if (batch->due > now)
                        later = batch->due < later ? batch->due : later;
                else if (!first || waits_since(batch) < waits_since(first))
                        first = batch;
        }
        if (!first && later < UINT64_MAX)
                uv_timer_start(&b->wake, on_wake, later - now, 0);
        return first;
}

static struct batch *take_searched(struct batcher *b, unsigned busy)
{
        struct batch *batch = first_searched(b);

        if (batch)
                remove_doubtful(b, batch);
        else if (has_gathered(b, b->unproven, busy))
                return close_apart(b, &b->unproven);
        return batch;
}

static struct batch *take_behind(struct batcher *b, unsigned busy)
{
        struct batch *batch = first_behind(b);

        if (batch)
                remove_doubtful(b, batch);
        else if (has_gathered(b, b->distrusted, busy))
                return close_apart(b, &b->distrusted);
        return batch;
}

/* In turn, so that neither kind starves the other. */
static struct batch *take_doubtful(struct batcher *b, unsigned busy)
{
        struct batch *batch = b->behind_next ? take_behind(b, busy) : take_searched(b, busy);

        if (batch)
                b->behind_next = !b->behind_next;
        else
                batch = b->behind_next ? take_searched(b, busy) : take_behind(b, busy);
        return batch;
}

void batcher_wake(struct batcher *b)
{
        for (struct list *l = b->doubtful.next; l != &b->doubtful; l = l->next) {
                struct batch *batch = container_of(l, struct batch, queue);

                if (batch->due > 0)
                        batch->due = 1; /* long ago */
        }
        b->on_waiting(b->ctx);
}

static struct batch *take_quick(struct batcher *b)
{
        struct batch *batch = b->quick;

        b->quick = NULL;
        b->quick_last |= batch != NULL;
        return batch;
}

static struct batch *take_bulk(struct batcher *b, unsigned busy)
{
        struct batch *batch = take_sealed(b);

        if (!batch && has_gathered(b, b->open, busy))
                batch = close_batch(b);
        b->quick_last &= !batch;
        return batch;
}

static struct batch *take_ordinary(struct batcher *b, unsigned busy)
{
        struct batch *batch = b->quick_last ? NULL : take_quick(b);

        if (!batch)
                batch = take_bulk(b, busy);
        return batch ? batch : take_quick(b);
}

/* Batches of both queues in turn, of the other where one has none. */
static struct batch *take_in_turn(struct batcher *b, struct batcher_busy busy)
{
        struct batch *batch =
                b->doubtful_next ? take_doubtful(b, busy.doubtful) : take_ordinary(b, busy.ordinary);

        if (batch)
                b->doubtful_next = !b->doubtful_next;
        else
                batch = b->doubtful_next ? take_ordinary(b, busy.ordinary) : take_doubtful(b, busy.doubtful);
        return batch;
}

struct batch *batcher_take(struct batcher *b, struct batcher_busy busy)
{
        bool ordinary_only =
                busy.doubtful > 0 && b->ordinary_at > 0 && uv_now(b->loop) - b->ordinary_at < ORDINARY_MS;
        struct batch *batch = ordinary_only ? take_ordinary(b, busy.ordinary) : take_in_turn(b, busy);

        if (batch && !batch->doubtful)
                b->ordinary_at = uv_now(b->loop);
        return batch;
}

void batcher_pop_doubtful(struct batcher *b, struct list *ret)
{
        if (b->unproven)
                list_append(ret, &close_apart(b, &b->unproven)->queue);
        if (b->distrusted)
                list_append(ret, &close_apart(b, &b->distrusted)->queue);
        while (!list_empty(&b->doubtful)) {
                struct batch *batch = container_of(b->doubtful.next, struct batch, queue);

                remove_doubtful(b, batch);
                list_append(ret, &batch->queue);
        }
}

struct batch *batcher_take_any(struct batcher *b)
{
        struct batch *batch = take_sealed(b);

        if (!batch && b->open)
                return close_batch(b);
        if (!batch)
                batch = take_quick(b);
        if (!batch && b->unproven)
                return close_apart(b, &b->unproven);
        if (!batch && b->distrusted)
                return close_apart(b, &b->distrusted);
        if (!batch && !list_empty(&b->doubtful)) {
                batch = container_of(b->doubtful.next, struct batch, queue);
                remove_doubtful(b, batch);
        }
        return batch;
}
