/* Lines are spooled when some wait for the database and it has not answered for AWAY_MS if a connection is
 * lost, otherwise for STALLED_MS: it may be slow, or wait for a lock. The lines in the stages are spooled,
 * too, since an ack cannot pass an unsettled line; the database connections working on these lines are
 * dropped. The lines may already be stored: on replay their ids, for which the receipt is kept, show that.
 *
 * From then on all lines go through the spool until it is empty: a line must not pass an earlier one, which
 * may be an older state of the same ad object or the parent it refers to. Replay begins with one chunk,
 * which waits in the stages until the database responds. Then sessions may add half as much as is replayed,
 * and nothing once little is left, so the spool empties soon, however much they send. Records that wait for
 * an unknown object do not count as left: they have no order to keep.
 *
 * When the spool is full or its disk fails, lines that cannot be written wait in memory and sessions are
 * paused; if the spool is empty, these lines go to the stages instead. */
#include "spool/overflow.h"

#include <inttypes.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/state_machine.h"

enum {
        AWAY_MS = 2000,
        STALLED_MS = 5000,
        LOOK_MS = 200,
        LITTLE_BYTES = 1 << 20,
};

#define BIT(name) STATE_BIT(OVERFLOW_##name)

static const struct state states[OVERFLOW_STATES] = {
        [OVERFLOW_DIRECT] = {"DIRECT", BIT(SPOOLING)},
        [OVERFLOW_SPOOLING] = {"SPOOLING", BIT(SPOOLING) | BIT(REPLAYING) | BIT(DIRECT)},
        [OVERFLOW_REPLAYING] = {"REPLAYING", BIT(SPOOLING) | BIT(DIRECT)},
};

static const struct state_machine machine = {"overflow", states, OVERFLOW_STATES};

static void enter(struct overflow *o, enum overflow_state state)
{
        state_machine_check(&machine, o->state, state);
        o->state = state;
        o->added_bytes = 0;
        o->replayed_bytes = 0;
}

/* The number of replayed lines that wait aside, so that others pass them. */
static uint64_t set_aside(const struct overflow *o)
{
        return o->tally.unknown + o->tally.resting;
}

static uint64_t left(const struct overflow *o)
{
        return o->spool.lines - set_aside(o);
}

/* --- into the spool --- */

void overflow_add_take(struct overflow *o, const struct line *line)
{
        const struct line_from from = line->source->ops->from(line->source, line);

        o->added_bytes += line->text.len;
        spool_add_take(&o->spool, line, &from);
}

static void on_spooled(void *ctx, struct line *line)
{
        (void)ctx;
        line_settle(line, LINE_SPOOLED, NULL);
}

void overflow_keep_take(struct overflow *o, struct line *line)
{
        if (line->in_spool)
                line_give_up(line);
        else
                overflow_add_take(o, line);
}

static void on_evacuated(void *ctx, struct line *line)
{
        overflow_keep_take(ctx, line);
}

/* Every line in the stages goes to the spool, or stays there. */
static void spool_all(struct overflow *o, const char *why)
{
        enter(o, OVERFLOW_SPOOLING);
        o->ops->evacuate(o->ctx, why, on_evacuated, o);
        spool_rewind(&o->spool);
        o->settled_at = uv_now(o->loop);
        spool_kick(&o->spool);
}

static void divert(struct overflow *o)
{
        if (o->state == OVERFLOW_DIRECT)
                log_warn("no answer from the database for %" PRIu64 " ms: spooling to %s",
                         uv_now(o->loop) - o->settled_at, o->spool.dir);
        spool_all(o, "no progress; its lines are spooled");
}

void overflow_judge_again(struct overflow *o)
{
        if (o->tally.in_flight > 0)
                spool_all(o, "the rules of clients have changed");
}

/* --- out of the spool --- */

static bool may_drain(void *ctx)
{
        const struct overflow *o = ctx;

        if (o->ending)
                return false;
        if (o->state != OVERFLOW_REPLAYING ||
            memory_full(o->memory)) /* the lines in memory may themselves be waiting for the spool */
                return o->tally.in_flight == set_aside(o);
        return o->ops->has_room(o->ctx);
}

/* A replayed line may be rejected, and only the reject file records that. */
static bool may_erase(void *ctx)
{
        const struct overflow *o = ctx;

        return o->ops->on_record(o->ctx);
}

static void on_drained(void *ctx, struct line *line)
{
        struct overflow *o = ctx;

        line->source = &o->source;
        line->client = o->ops->rules_of(o->ctx, line->in_spool->from.client);
        line_begin(line->source);
        o->ops->route(o->ctx, line);
}

static void settle_replayed(struct line_source *source, const struct line *line, enum line_outcome outcome,
                            const struct reject *reject)
{
        struct overflow *o = container_of(source, struct overflow, source);

        (void)outcome;
        (void)reject;
        if (o->state == OVERFLOW_SPOOLING) {
                log_info("the database responds again: replaying %" PRIu64 " spooled lines", o->spool.lines);
                enter(o, OVERFLOW_REPLAYING);
        }
        o->replayed_bytes += line->text.len;
        spool_settle(&o->spool, line->in_spool);
}

static void forget_replayed(struct line_source *source, const struct line *line)
{
        spool_forget(&container_of(source, struct overflow, source)->spool, line->in_spool);
}

static struct line_from replayed_from(const struct line_source *source, const struct line *line)
{
        (void)source;
        return line->in_spool->from;
}

static const struct line_source_ops source_ops = {
        .settle = settle_replayed, .give_up = forget_replayed, .from = replayed_from, .acked = true};

bool overflow_has_room(const struct overflow *o)
{
        uint64_t fed_bytes = o->spool.fed_bytes;
        uint64_t waiting = o->spool.bytes > fed_bytes ? o->spool.bytes - fed_bytes : 0;

        if (o->spool.pending_bytes >= SPOOL_PENDING_MAX || o->ops->memory_full(o->ctx))
                return false;
        return o->state != OVERFLOW_REPLAYING || o->ending ||
               (waiting > LITTLE_BYTES && o->added_bytes < o->replayed_bytes / 2);
}

static void route_again(void *ctx, struct line *line)
{
        const struct overflow *o = ctx;

        o->ops->route(o->ctx, line);
}

/* Ends the diversion if nothing is left in the spool. */
static void look_for_the_end(struct overflow *o)
{
        if (!overflow_diverts(o) || o->ending || left(o) > 0 || o->spool.working || !spool_opened(&o->spool))
                return;
        /* what is not erased may be replayed again, and undo what comes later */
        if (!spool_at_rest(&o->spool) && (!spool_failing(&o->spool) || o->spool.settled.len > 0)) {
                spool_flush(&o->spool);
                return;
        }
        enter(o, OVERFLOW_DIRECT);
        log_info("the spool is empty: storing directly again");
        spool_take_back(&o->spool, route_again, o);
}

static void abandon(void *ctx, struct line *line)
{
        (void)ctx;
        line_give_up(line);
}

/* A daemon that stops does not wait for room on the disk: clients send again what was not acked. */
static void give_up_at_the_end(struct overflow *o)
{
        if (o->ending && spool_failing(&o->spool) && !o->spool.working)
                spool_take_back(&o->spool, abandon, o);
}

static void on_job_over(void *ctx)
{
        give_up_at_the_end(ctx);
        look_for_the_end(ctx);
}

/* --- looking --- */

static void on_look(uv_timer_t *timer)
{
        struct overflow *o = timer->data;
        uint64_t now = uv_now(o->loop);
        uint64_t patience = o->ops->connected(o->ctx) ? STALLED_MS : AWAY_MS;

        if (!o->ops->waits(o->ctx))
                o->settled_at = now;
        give_up_at_the_end(o);
        look_for_the_end(o);
        spool_kick(&o->spool);
        if (now - o->settled_at >= patience && o->state != OVERFLOW_SPOOLING && !spool_failing(&o->spool))
                divert(o);
}

/* At each turn of the loop: the stages may have room again. */
static void on_turn(uv_prepare_t *turn)
{
        struct overflow *o = turn->data;

        if (o->state == OVERFLOW_REPLAYING)
                spool_kick(&o->spool);
}

/* --- the beginning and the end --- */

static const struct spool_ops spool_ops = {
        .on_spooled = on_spooled,
        .may_drain = may_drain,
        .may_erase = may_erase,
        .on_drained = on_drained,
        .on_job_over = on_job_over,
};

static void begin(struct overflow *o)
{
        uv_timer_start(&o->look, on_look, LOOK_MS, LOOK_MS);
        uv_prepare_start(&o->turn, on_turn);
        o->settled_at = uv_now(o->loop);
        if (o->spool.lines > 0)
                log_info("%" PRIu64 " spooled lines found", o->spool.lines);
        if (o->spool.lines > 0 || !spool_opened(&o->spool))
                enter(o, OVERFLOW_SPOOLING);
}

int overflow_open(struct overflow *o, uv_loop_t *loop, const struct overflow_config *config,
                  struct memory *memory, const struct overflow_ops *ops, void *ctx)
{
        char error[SPOOL_ERROR_BYTES];
        int err;

        *o = (struct overflow){
                .loop = loop, .memory = memory, .max_bytes = config->max_bytes, .ops = ops, .ctx = ctx};
        o->source = (struct line_source){.ops = &source_ops, .tally = &o->tally};
        uv_timer_init(loop, &o->look);
        o->look.data = o;
        uv_prepare_init(loop, &o->turn);
        o->turn.data = o;
        err = spool_open(&o->spool, loop, config->dir, config->max_bytes, memory, &spool_ops, o, error);
        if (err)
                log_error("spool.dir %s cannot be used: %s", config->dir, error);
        if (overflow_on(o))
                begin(o);
        return err;
}

void overflow_close(struct overflow *o)
{
        uv_close((uv_handle_t *)&o->look, NULL);
        uv_close((uv_handle_t *)&o->turn, NULL);
        spool_close(&o->spool, NULL);
}

void overflow_drain(struct overflow *o)
{
        o->ending = true;
}

void overflow_end(struct overflow *o)
{
        o->ending = true;
        if (o->tally.in_flight > 0)
                o->ops->evacuate(o->ctx, "the daemon is stopping", on_evacuated, o);
}

void overflow_stats(const struct overflow *o, struct stats *r)
{
        struct stats_spool *s = &r->spool;

        memcpy(r->drained_counts, o->tally.counts, sizeof(r->drained_counts));
        s->on = overflow_on(o);
        if (!s->on)
                return;
        s->diverting = overflow_diverts(o);
        s->advancing = o->state != OVERFLOW_SPOOLING;
        s->failing = spool_failing(&o->spool);
        s->before = o->spool.found;
        s->lines = o->spool.lines;
        s->bytes = o->spool.bytes;
        s->max_bytes = o->max_bytes;
        s->lost_lines = o->spool.lost;
        s->oldest_us = o->spool.lines > 0 ? o->spool.oldest_us : 0;
}
