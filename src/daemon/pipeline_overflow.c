/* The pipeline's callbacks for the overflow: the state of the stages, and taking all lines out of them. */
#include <stdlib.h>

#include "base/log.h"
#include "daemon/pipeline_parts.h"

struct evacuated {
        struct pipeline *p;
        struct line *lines;
        size_t len;
        size_t cap;
};

static void gather(void *ctx, struct line *line)
{
        struct evacuated *e = ctx;

        if (e->len == e->cap)
                e->lines = array_grow(e->lines, &e->cap, sizeof(*e->lines));
        pipeline_unmark(e->p, line);
        e->lines[e->len++] = *line;
}

static void gather_batches(struct pipeline *p, struct evacuated *e)
{
        struct batch *b;

        while ((b = batcher_take_any(&p->batcher))) {
                for (size_t i = 0; i < b->len; i++)
                        gather(e, &b->rows[i].line);
                batch_free(b);
        }
}

/* Sorts by order of receipt; replayed lines, which the spool keeps in order, come first. */
static int compare_received(const void *a, const void *b)
{
        const struct line *x = a;
        const struct line *y = b;
        int64_t distance = (int64_t)(x->receipt.number - y->receipt.number);

        if (x->source->ops->acked || y->source->ops->acked)
                return y->source->ops->acked - x->source->ops->acked;
        return (distance > 0) - (distance < 0);
}

static void evacuate(void *ctx, const char *why, line_take_cb *cb, void *cb_ctx)
{
        struct pipeline *p = ctx;
        struct evacuated e = {.p = p};

        p->evacuating = true;
        for (unsigned i = 0; i < p->config->database.writers; i++)
                writer_drop(&p->writers[i], why);
        hierarchy_evacuate(&p->hierarchy, why, gather, &e);
        resolver_evacuate(&p->resolver, why, gather, &e);
        gather_batches(p, &e);
        p->evacuating = false;
        if (e.len > 0)
                qsort(e.lines, e.len, sizeof(*e.lines), compare_received);
        for (size_t i = 0; i < e.len; i++)
                cb(cb_ctx, &e.lines[i]);
        free(e.lines);
}

static void route(void *ctx, struct line *line)
{
        pipeline_route_take(ctx, line);
}

static bool has_room(void *ctx)
{
        return pipeline_stages_have_room(ctx);
}

static bool is_full(void *ctx)
{
        return pipeline_memory_full(ctx);
}

static bool waits(void *ctx)
{
        const struct pipeline *p = ctx;
        bool writing = batcher_waits(&p->batcher);

        for (unsigned i = 0; i < p->config->database.writers; i++)
                writing |= p->writers[i].batch != NULL;
        return writing || p->resolver.parked > 0 || hierarchy_waits(&p->hierarchy);
}

static bool connected(void *ctx)
{
        const struct pipeline *p = ctx;
        bool all = pg_conn_connected(&p->resolver.conn) && pg_conn_connected(&p->hierarchy.writer.conn);

        for (unsigned i = 0; i < p->config->database.writers; i++)
                all &= pg_conn_connected(&p->writers[i].conn);
        return all;
}

/* Returns the current rules. A line without a name was received when there were no sections. */
static struct rules *rules_of(void *ctx, const char *origin)
{
        const struct pipeline *p = ctx;

        return p->clients.len == 0 || !origin[0] ? NULL : clients_rules_of(&p->clients, origin);
}

static bool on_record(void *ctx)
{
        return reject_file_at_rest(((const struct pipeline *)ctx)->rejects);
}

int pipeline_open_overflow(struct pipeline *p)
{
        static const struct overflow_ops ops = {.route = route,
                                                .evacuate = evacuate,
                                                .has_room = has_room,
                                                .memory_full = is_full,
                                                .waits = waits,
                                                .connected = connected,
                                                .rules_of = rules_of,
                                                .on_record = on_record};
        const struct config *c = p->config;
        const struct overflow_config config = {c->spool.dir, c->spool.max_bytes};
        int err = overflow_open(&p->overflow, p->loop, &config, &p->memory, &ops, p);

        if (overflow_on(&p->overflow) && !c->rejects.file[0])
                log_warn(
                        "spool.dir is set without rejects.file: rejects of spooled lines will not be recorded");
        return err;
}
