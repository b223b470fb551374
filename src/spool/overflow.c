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

#include "base/log.h"
#include "daemon/pipeline.h"

enum {
        AWAY_MS = 2000,
        STALLED_MS = 5000,
        LOOK_MS = 200,
        LITTLE_BYTES = 1 << 20,
};

static const char why_given_up[] = "no progress; its lines are spooled";

static uint64_t left(const struct pipeline *p)
{
        return p->spool.lines - p->drained_unknown - p->drained_resting;
}

/* --- into the spool --- */

void overflow_add_take(struct pipeline *p, struct line *line)
{
        const struct session *s = line->origin;
        const struct line_from from = {s->peer, s->number, line->number,
                                       line->client ? line->client->origin : ""};

        p->overflow.added_bytes += line->text.len;
        spool_add_take(&p->spool, line, &from);
}

static void on_spooled(void *ctx, struct line *line)
{
        struct pipeline *p = ctx;

        p->counts[LINE_SPOOLED]++;
        p->in_flight--;
        if (line->client && line->client->tally)
                line->client->tally->counts[LINE_SPOOLED]++;
        session_settle(line->origin, line->number, LINE_SPOOLED, NULL);
        line_release(line);
}

void overflow_keep_take(struct pipeline *p, struct line *line)
{
        if (!line->drained) {
                overflow_add_take(p, line);
                return;
        }
        spool_forget(&p->spool, line->origin);
        p->drained_in_flight--;
        line_release(line);
}

static void on_evacuated(void *ctx, struct line *line)
{
        overflow_keep_take(ctx, line);
}

static void start_advance(struct overflow *o, bool advancing)
{
        o->advancing = advancing;
        o->added_bytes = 0;
        o->drained_bytes = 0;
}

static void divert(struct pipeline *p)
{
        struct overflow *o = &p->overflow;

        if (!o->diverting)
                log_warn("no answer from the database for %" PRIu64 " ms: spooling to %s",
                         uv_now(p->loop) - p->settled_at, p->spool.dir);
        o->diverting = true;
        start_advance(o, false);
        pipeline_evacuate(p, why_given_up, on_evacuated);
        spool_rewind(&p->spool);
        p->settled_at = uv_now(p->loop);
        spool_kick(&p->spool);
}

void overflow_judge_again(struct pipeline *p)
{
        if (p->drained_in_flight == 0)
                return;
        p->overflow.diverting = true;
        start_advance(&p->overflow, false);
        pipeline_evacuate(p, "the rules of clients have changed", on_evacuated);
        spool_rewind(&p->spool);
        p->settled_at = uv_now(p->loop);
        spool_kick(&p->spool);
}

/* --- out of the spool --- */

static bool may_drain(void *ctx)
{
        const struct pipeline *p = ctx;

        if (p->ending)
                return false;
        if (!p->overflow.advancing ||
            memory_full(&p->memory)) /* the lines in memory may themselves be waiting for the spool */
                return p->drained_in_flight == p->drained_unknown + p->drained_resting;
        return pipeline_stages_have_room(p);
}

/* A replayed line may be rejected, and only the reject file records that. */
static bool may_erase(void *ctx)
{
        return reject_file_at_rest(((const struct pipeline *)ctx)->rejects);
}

/* Whoever sent the line first: by the rules of today. A line without a name was received when there were no rules. */
static struct rules *find_sender(const struct pipeline *p, const struct line *line)
{
        const char *origin = ((const struct spool_line *)line->origin)->from.client;

        return p->clients.len == 0 || !origin[0] ? NULL : clients_rules_of(&p->clients, origin);
}

static void on_drained(void *ctx, struct line *line)
{
        struct pipeline *p = ctx;

        line->client = find_sender(p, line);
        p->drained_in_flight++;
        pipeline_route_take(p, line);
}

void overflow_on_settled(struct pipeline *p, struct line *line)
{
        struct overflow *o = &p->overflow;

        if (!o->advancing && o->diverting) {
                log_info("the database responds again: replaying %" PRIu64 " spooled lines", p->spool.lines);
                start_advance(o, true);
        }
        o->drained_bytes += line->text.len;
        spool_settle(&p->spool, line->origin);
}

bool overflow_has_room(const struct pipeline *p)
{
        const struct overflow *o = &p->overflow;
        uint64_t waiting = p->spool.bytes - p->spool.fed_bytes;

        if (p->spool.pending_bytes >= SPOOL_PENDING_MAX || pipeline_memory_full(p))
                return false;
        return !o->advancing || p->ending ||
               (waiting > LITTLE_BYTES && o->added_bytes < o->drained_bytes / 2);
}

static void route_again(void *ctx, struct line *line)
{
        pipeline_route_take(ctx, line);
}

/* Ends the diversion if nothing is left in the spool. */
static void look_for_the_end(struct pipeline *p)
{
        if (!p->overflow.diverting || p->ending || left(p) > 0 || p->spool.working ||
            !spool_opened(&p->spool))
                return;
        /* lines not erased may be replayed again and would undo later ones */
        if (!spool_at_rest(&p->spool) && (!spool_failing(&p->spool) || p->spool.settled.len > 0)) {
                spool_flush(&p->spool);
                return;
        }
        p->overflow.diverting = false;
        log_info("the spool is empty: storing directly again");
        spool_take_back(&p->spool, route_again, p);
}

static void abandon(void *ctx, struct line *line)
{
        pipeline_abandon_take(ctx, line);
}

/* A stopping daemon does not wait for disk space: clients resend unacked lines. */
static void give_up_at_the_end(struct pipeline *p)
{
        if (p->ending && spool_failing(&p->spool) && !p->spool.working)
                spool_take_back(&p->spool, abandon, p);
}

static void on_job_over(void *ctx)
{
        give_up_at_the_end(ctx);
        look_for_the_end(ctx);
}

/* --- looking --- */

/* True if anything waits for an answer of the database; an open batch does not. */
static bool waits(const struct pipeline *p)
{
        bool writing = batcher_waits(&p->batcher);

        for (unsigned i = 0; i < p->config->database.writers; i++)
                writing |= p->writers[i].batch != NULL;
        return writing || p->resolver.parked > 0 || hierarchy_waits(&p->hierarchy);
}

static bool connected(const struct pipeline *p)
{
        bool all = pg_conn_connected(&p->resolver.conn) && pg_conn_connected(&p->hierarchy.writer.conn);

        for (unsigned i = 0; i < p->config->database.writers; i++)
                all &= pg_conn_connected(&p->writers[i].conn);
        return all;
}

static void on_look(uv_timer_t *timer)
{
        struct pipeline *p = timer->data;
        uint64_t now = uv_now(p->loop);
        uint64_t patience = connected(p) ? STALLED_MS : AWAY_MS;

        if (!waits(p))
                p->settled_at = now;
        give_up_at_the_end(p);
        look_for_the_end(p);
        spool_kick(&p->spool);
        if (now - p->settled_at >= patience && (!p->overflow.diverting || p->overflow.advancing) &&
            !spool_failing(&p->spool))
                divert(p);
}

void overflow_open(struct pipeline *p)
{
        struct overflow *o = &p->overflow;

        uv_timer_init(p->loop, &o->look);
        o->look.data = p;
        if (!spool_on(&p->spool))
                return;
        uv_timer_start(&o->look, on_look, LOOK_MS, LOOK_MS);
        p->settled_at = uv_now(p->loop);
        if (!p->config->rejects.file[0])
                log_warn(
                        "spool.dir is set without rejects.file: rejects of spooled lines will not be recorded");
        o->diverting = p->spool.lines > 0 || !spool_opened(&p->spool);
        if (p->spool.lines > 0)
                log_info("%" PRIu64 " spooled lines found", p->spool.lines);
}

void overflow_close(struct pipeline *p)
{
        uv_close((uv_handle_t *)&p->overflow.look, NULL);
}

void overflow_end(struct pipeline *p)
{
        if (p->drained_in_flight > 0)
                pipeline_evacuate(p, "the daemon ends", on_evacuated);
}

const struct spool_ops overflow_spool_ops = {
        .on_spooled = on_spooled,
        .may_drain = may_drain,
        .may_erase = may_erase,
        .on_drained = on_drained,
        .on_job_over = on_job_over,
};
