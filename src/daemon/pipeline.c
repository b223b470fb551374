/* Makes the stages and connects them:
 *
 *   sessions -> decode -> resolver -> batcher -> writers
 *       ^         |  |        ^                     |
 *       |         |  +-> hierarchy                  |
 *       |       spool         |                     |
 *       |         |           |                     |
 *       +---------+------- settle ------------------+
 *
 * Spending that follows hierarchy records of its connection goes to the resolver when these are written. While
 * the database makes no progress, good lines go to the spool instead; they are replayed later as if a session
 * sent them (overflow.c).
 *
 * Backpressure is one question, has_room: sessions stop taking lines while a full batch or many unresolved
 * rows wait, or the memory limit is reached; and those with hierarchy records, unknown objects or doubtful
 * rows in flight while there are too many of these. A line is settled exactly once, by the stage that ends its
 * way: the decoder and the resolver reject it, a writer or the hierarchy reports the database's outcome, the
 * spool settles it when it is durable. */
#include "daemon/pipeline.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/decoded.h"
#include "model/connect_fault.h"
#include "server/sessions.h"
#include "spending/spending_record.h"

enum { CROWDING_MS = 1000 };

/* A client sends little that has so few lines here, or a part so small of what a client has on average. */
enum { LITTLE_LINES = 16, LITTLE_PART = 4 };

/* --- lines among which a bad one is looked for --- */

static void mark_doubtful_line(struct line *line)
{
        if (line->doubtful)
                return;
        line->doubtful = true;
        if (!line->drained)
                ((struct session *)line->origin)->doubtful++;
}

static void mark_doubtful(struct batch *batch)
{
        for (size_t i = 0; i < batch->len; i++)
                mark_doubtful_line(&batch->rows[i].line);
}

static void mark_resting_line(struct pipeline *p, struct line *line)
{
        if (line->resting)
                return;
        line->resting = true;
        *(line->drained ? &p->drained_resting : &p->resting) += 1;
        p->resting_bytes += line->text.len;
}

static void mark_resting(struct pipeline *p, struct batch *batch)
{
        for (size_t i = 0; i < batch->len; i++) {
                /* a row that waits long must not keep a block with other lines */
                if (!batch->rows[i].line.resting)
                        row_detach(&batch->rows[i]);
                mark_resting_line(p, &batch->rows[i].line);
        }
        batch_trim(batch);
}

static void unmark(struct pipeline *p, struct line *line)
{
        if (line->doubtful && !line->drained)
                ((struct session *)line->origin)->doubtful--;
        if (line->resting) {
                *(line->drained ? &p->drained_resting : &p->resting) -= 1;
                p->resting_bytes -= line->text.len;
        }
        line->doubtful = false;
        line->resting = false;
}

/* --- the end of a line --- */

static struct line_from line_from(const struct line *line)
{
        if (line->drained)
                return ((const struct spool_line *)line->origin)->from;
        return (struct line_from){((const struct session *)line->origin)->peer,
                                  ((const struct session *)line->origin)->number, line->number,
                                  line->client ? line->client->origin : ""};
}

static void end_line(struct pipeline *p, struct line *line, enum line_outcome outcome,
                     const struct reject *reject)
{
        unmark(p, line);
        if (line->client && line->client->tally)
                line->client->tally->counts[outcome]++;
        if (outcome == LINE_REJECTED) {
                struct line_from from = line_from(line);

                reject_file_add(p->rejects, &from, line->text, reject,
                                line->drained ? REJECT_SPOOLED : REJECT_TOLD);
                reject_ring_add(&p->latest, from.peer, from.connection, from.line, reject);
                p->rejected[reject->code]++;
        }
        if (line->drained) {
                p->drained_counts[outcome]++;
                p->drained_in_flight--;
                overflow_on_settled(p, line);
        } else {
                p->counts[outcome]++;
                p->in_flight--;
                session_settle(line->origin, line->number, outcome, reject);
        }
        line_release(line);
}

/* Called by a stage. */
static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct pipeline *p = ctx;

        p->settled_at = uv_now(p->loop);
        end_line(p, line, outcome, reject);
}

void pipeline_abandon_take(struct pipeline *p, struct line *line)
{
        p->abandoned++;
        p->in_flight--;
        session_abandon(line->origin);
        line_release(line);
}

static void on_abandoned(void *ctx, struct line *line)
{
        struct pipeline *p = ctx;

        if (spool_on(&p->spool))
                overflow_keep_take(p, line);
        else
                pipeline_abandon_take(p, line);
}

/* --- a line's way --- */

static void add_resolved_take(struct pipeline *p, struct row *row)
{
        const struct line *line = &row->line;
        bool little = !line->drained && ((const struct session *)line->origin)->in_flight <= LITTLE_LINES;

        spending_record_derive_id(&row->rec);
        batcher_add_take(&p->batcher, row, little);
}

static void on_resolved(void *ctx, const struct row *row)
{
        struct row ready = *row;

        add_resolved_take(ctx, &ready);
}

static void on_missing(void *ctx, const struct row *row)
{
        struct pipeline *p = ctx;
        struct row missing = *row;

        unmark(p, &missing.line);
        resolver_again_take(&p->resolver, &missing);
}

static void resolve(struct pipeline *p, struct row *row)
{
        if (resolver_resolve(&p->resolver, row))
                add_resolved_take(p, row);
}

static void on_follower(void *ctx, const struct row *row)
{
        struct row ready = *row;

        unmark(ctx, &ready.line);
        resolve(ctx, &ready);
}

static void on_aside(void *ctx, struct line *line)
{
        mark_doubtful_line(line);
        mark_resting_line(ctx, line);
}

static void on_aside_abandoned(void *ctx, struct line *line)
{
        unmark(ctx, line);
        on_abandoned(ctx, line);
}

static void route(struct pipeline *p, struct line *line, struct decoded *decoded, uint64_t *hierarchy_batch)
{
        struct reject reject;

        if (decoded->kind != RECORD_SPENDING && !decoded_permitted(decoded, &reject)) {
                end_line(p, line, LINE_REJECTED, &reject);
                return;
        }
        if (decoded->kind != RECORD_SPENDING)
                *hierarchy_batch = hierarchy_add_take(&p->hierarchy, &decoded->as.hierarchy);
        else if (hierarchy_pending(&p->hierarchy, *hierarchy_batch))
                hierarchy_follow_take(&p->hierarchy, *hierarchy_batch, &decoded->as.spending);
        else if (!hierarchy_hold_take(&p->hierarchy, &decoded->as.spending))
                resolve(p, &decoded->as.spending);
}

void pipeline_route_take(struct pipeline *p, struct line *line)
{
        uint64_t *hierarchy_batch =
                line->drained ? &p->drained_hierarchy : &((struct session *)line->origin)->hierarchy_batch;
        struct decoded decoded;
        struct reject reject;

        if (!decoded_read(&p->reader, line, &decoded, &reject))
                end_line(p, line, LINE_REJECTED, &reject);
        else if (decoded.kind == RECORD_HELLO)
                end_line(p, line, LINE_EMPTY, NULL);
        else
                route(p, line, &decoded, hierarchy_batch);
}

void pipeline_on_line(struct pipeline *p, struct session *s, uint64_t line_no, struct slice text,
                      struct block *block)
{
        struct line line = {.block = block_ref(block),
                            .text = line_no == 1 ? fields_without_bom(text) : text,
                            .client = rules_ref(s->client),
                            .origin = s,
                            .number = line_no,
                            .receipt = receipts_next(&p->receipts, uv_now(p->loop))};
        struct decoded decoded;
        struct reject reject;

        p->in_flight++;
        if (line.client)
                rules_take_line(line.client, line.text.len);
        if (line.text.len == 0) { /* only a byte order mark */
                end_line(p, &line, LINE_EMPTY, NULL);
        } else if (!decoded_read(&p->reader, &line, &decoded, &reject)) {
                end_line(p, &line, LINE_REJECTED, &reject);
        } else if (decoded.kind == RECORD_HELLO) {
                pipeline_on_hello(p, s, &decoded.as.hello);
                end_line(p, &line, LINE_EMPTY, NULL);
        } else if (!p->overflow.diverting) {
                route(p, &line, &decoded, &s->hierarchy_batch);
        } else if (!decoded_permitted(&decoded, &reject)) {
                end_line(p, &line, LINE_REJECTED, &reject);
        } else {
                overflow_add_take(p, &line);
        }
}

void pipeline_on_too_long(struct pipeline *p, struct session *s, uint64_t line_no)
{
        struct line line = {.client = rules_ref(s->client), .origin = s, .number = line_no};
        struct reject reject;

        p->in_flight++;
        if (line.client)
                rules_take_line(line.client, 0);
        decoded_reject_long(&reject, p->config->limits.max_line_bytes);
        end_line(p, &line, LINE_REJECTED, &reject);
}

void pipeline_hierarchy_changed(struct pipeline *p, bool new_accounts)
{
        resolver_hierarchy_changed(&p->resolver, new_accounts);
}

static void on_written(void *ctx, bool new_accounts)
{
        struct pipeline *p = ctx;

        pipeline_hierarchy_changed(p, new_accounts);
        p->on_hierarchy(p->ctx, new_accounts);
}

static void on_unknown(void *ctx, const struct line *line, bool waits)
{
        struct pipeline *p = ctx;
        uint64_t change = waits ? 1 : (uint64_t)-1;

        if (line->drained) {
                p->drained_unknown += change;
        } else {
                p->unknown += change;
                ((struct session *)line->origin)->unknown += change;
        }
}

/* --- reports --- */

/* Returns the connection that has worked for longest or, if none works, the one lost last. */
static const struct pg_conn *best_writer(const struct pipeline *p)
{
        const struct pg_conn *best = &p->writers[0].conn;

        for (unsigned i = 1; i < p->config->database.writers && best->away_us > 0; i++) {
                const struct pg_conn *c = &p->writers[i].conn;

                if (c->away_us == 0 || c->away_us > best->away_us)
                        best = c;
        }
        return best;
}

/* True if lines can be stored, as far as is known. */
static bool database_up(const struct pipeline *p)
{
        return pg_conn_good(best_writer(p)) && pg_conn_good(&p->resolver.conn) &&
               pg_conn_good(&p->hierarchy.writer.conn);
}

/* @needed: without this connection some kind of line cannot be stored. */
static void report_conn(const struct pg_conn *c, bool needed, struct stats_database *d)
{
        d->wanted++;
        d->connected += pg_conn_connected(c);
        d->lost += c->lost;
        d->failures += c->connect_failures;
        d->reconnects += c->connects > 0 ? c->connects - 1 : 0;
        if (!needed || pg_conn_good(c))
                return;
        d->up = false;
        d->failed |= c->error[0] != '\0';
        d->away_us = stats_earlier(d->away_us, c->away_us);
        if (!d->error[0])
                memcpy(d->error, c->error, sizeof(d->error));
}

static void stats_database(const struct pipeline *p, struct stats_database *d)
{
        const struct pg_conn *best = best_writer(p);

        d->up = true;
        report_conn(&p->resolver.conn, true, d);
        report_conn(&p->hierarchy.writer.conn, true, d);
        for (unsigned i = 0; i < p->config->database.writers; i++)
                report_conn(&p->writers[i].conn, &p->writers[i].conn == best, d);
}

static void report_batches(const struct pipeline *p, struct stats *r)
{
        for (unsigned i = 0; i < p->config->database.writers; i++) {
                const struct writer *w = &p->writers[i];

                r->batches += w->batches;
                r->batch_rows += w->rows;
                r->batch_failures += w->failures;
                histogram_merge(&r->commit, &w->commit);
        }
        r->batches_waiting = p->batcher.sealed_len;
        r->batch_target = p->batcher.pace.rows;
        r->batch_gap_us = pace_gap_us(&p->batcher.pace);
        r->bad_rows = p->batcher.doubtful_rows + p->hierarchy.aside.lines;
        r->lookup_rows = p->resolver.parked;
        r->unknown_rows = p->unknown + p->drained_unknown;
        r->hierarchy_rows = p->hierarchy.followers;
}

static void stats_spool(const struct pipeline *p, struct stats_spool *s)
{
        s->on = spool_on(&p->spool);
        if (!s->on)
                return;
        s->diverting = p->overflow.diverting;
        s->advancing = p->overflow.advancing;
        s->failing = spool_failing(&p->spool);
        s->before = p->spool.found;
        s->lines = p->spool.lines;
        s->bytes = p->spool.bytes;
        s->max_bytes = p->config->spool.max_bytes;
        s->lost_lines = p->spool.lost;
        s->oldest_us = p->spool.lines > 0 ? p->spool.oldest_us : 0;
}

void pipeline_stats(const struct pipeline *p, struct stats *r, enum stats_detail detail)
{
        for (size_t i = 0; i < LINE_OUTCOMES; i++)
                r->counts[i] += p->counts[i];
        memcpy(r->drained_counts, p->drained_counts, sizeof(r->drained_counts));
        memcpy(r->rejects, p->rejected, sizeof(r->rejects));
        r->in_flight = p->in_flight;
        r->abandoned = p->abandoned;
        r->cache_hits = p->resolver.hits;
        r->cache_misses = p->resolver.cache_misses;
        r->cache_objects = p->resolver.cache.len;
        r->cache_limit = p->resolver.cache.max_len;
        r->memory_used = p->memory.used;
        r->memory_limit = p->memory.limit;
        report_batches(p, r);
        stats_database(p, &r->database);
        stats_spool(p, &r->spool);
        if (detail == STATS_LISTS)
                stats_add_latest(r, &p->latest);
}

/* --- room --- */

/* Number of lines that wait for an unknown object, or are resting. Beyond half of the memory they count as
 * all others do; otherwise there would be no limit. */
static size_t waiting_lines(const struct pipeline *p)
{
        return p->unknown + (p->resting_bytes < p->memory.limit / 2 ? p->resting : 0);
}

/* Memory filled by lines on their way to the database will soon be free. Memory of waiting lines does not
 * count here: a client would have to wait as long as they do. */
bool pipeline_memory_full(const struct pipeline *p)
{
        return memory_full(&p->memory) && p->in_flight > waiting_lines(p);
}

bool pipeline_stages_have_room(const struct pipeline *p)
{
        return batcher_has_room(&p->batcher) && batcher_has_room_for_doubtful(&p->batcher) &&
               resolver_has_room(&p->resolver) && hierarchy_has_room(&p->hierarchy) &&
               hierarchy_has_room_aside(&p->hierarchy) &&
               !(memory_full(&p->memory) && p->in_flight + p->drained_in_flight > waiting_lines(p) +
                                                                                          p->drained_unknown +
                                                                                          p->drained_resting);
}

bool pipeline_has_room(struct pipeline *p)
{
        if (p->overflow.diverting)
                return overflow_has_room(p);
        return batcher_has_quick_room(&p->batcher) && resolver_has_room(&p->resolver) &&
               !pipeline_memory_full(p);
}

/* A client that has much less here than others does not wait for the room that these have filled. */
static bool sends_little(const struct pipeline *p, const struct session *s)
{
        uint64_t share = p->in_flight / (LITTLE_PART * ((uint64_t)sessions_clients(s->set) + 1));

        return s->in_flight < (share > LITTLE_LINES ? share : LITTLE_LINES);
}

static bool has_room_for_rows(const struct pipeline *p, const struct session *s)
{
        return batcher_has_room(&p->batcher) || (batcher_has_quick_room(&p->batcher) && sends_little(p, s));
}

static bool has_room_for_doubtful(const struct pipeline *p)
{
        return batcher_has_room_for_doubtful(&p->batcher) && hierarchy_has_room_aside(&p->hierarchy) &&
               p->resting_bytes < p->memory.limit / 4;
}

bool pipeline_has_room_for(struct pipeline *p, const struct session *s)
{
        if (!pipeline_within_limits(p, s))
                return false;
        if (p->overflow.diverting)
                return true;
        return has_room_for_rows(p, s) &&
               (hierarchy_has_room(&p->hierarchy) || !hierarchy_pending(&p->hierarchy, s->hierarchy_batch)) &&
               (s->unknown == 0 || resolver_has_room_for_unknown(&p->resolver)) &&
               (s->doubtful == 0 || has_room_for_doubtful(p));
}

enum pause_reason pipeline_why_no_room(const struct pipeline *p, const struct session *s)
{
        bool full = pipeline_memory_full(p);

        if (s->client && !p->ending && !rules_may_send(s->client, p->memory.limit))
                return PAUSE_CLIENT_LIMIT;

        if (p->overflow.diverting)
                return overflow_has_room(p) ? PAUSE_NONE : PAUSE_SPOOL;
        if (!has_room_for_rows(p, s) || !resolver_has_room(&p->resolver) || (full && !database_up(p)))
                return PAUSE_DATABASE;
        if (full)
                return PAUSE_MEMORY;
        if (!hierarchy_has_room(&p->hierarchy) && hierarchy_pending(&p->hierarchy, s->hierarchy_batch))
                return PAUSE_HIERARCHY;
        if (s->unknown > 0 && !resolver_has_room_for_unknown(&p->resolver))
                return PAUSE_UNKNOWN_OBJECTS;
        if (s->doubtful > 0 && !has_room_for_doubtful(p))
                return PAUSE_BAD_ROWS;
        return PAUSE_NONE;
}

/* --- batches --- */

static unsigned busy_writers(const struct pipeline *p)
{
        unsigned busy = 0;

        for (unsigned i = 0; i < p->config->database.writers; i++)
                busy += p->writers[i].batch != NULL;
        return busy;
}

static void on_writer_idle(void *ctx, struct writer *w)
{
        struct pipeline *p = ctx;
        struct batch *batch = batcher_take(&p->batcher, busy_writers(p));

        if (batch)
                writer_write_take(w, batch);
}

static void on_batch_waits(void *ctx)
{
        struct pipeline *p = ctx;

        for (unsigned i = 0; i < p->config->database.writers && !p->evacuating; i++) {
                if (writer_idle(&p->writers[i]))
                        on_writer_idle(p, &p->writers[i]);
        }
}

static void on_committed(void *ctx, const struct batch *batch, uint64_t us)
{
        batcher_committed(&((struct pipeline *)ctx)->batcher, batch, us);
}

void pipeline_on_ended(struct pipeline *p, const struct session *s)
{
        if (p->in_flight > s->in_flight || p->drained_in_flight > 0)
                return; /* others' lines may join the batch */
        batcher_hurry(&p->batcher);
        hierarchy_hurry(&p->hierarchy);
}

/* The daemon is stopping, and these rows would have to wait longer. */
static void abandon(struct pipeline *p, struct batch *batch)
{
        for (size_t i = 0; i < batch->len; i++) {
                unmark(p, &batch->rows[i].line);
                on_abandoned(p, &batch->rows[i].line);
        }
        batch_free(batch);
}

static void on_return(void *ctx, struct batch *batch)
{
        struct pipeline *p = ctx;

        if (batch->due > 0 && p->ending && !p->evacuating) {
                abandon(p, batch);
                return;
        }
        if (batch->doubtful)
                mark_doubtful(batch);
        if (batch->due > 0)
                mark_resting(p, batch);
        batcher_return(&p->batcher, batch);
}

/* --- giving up --- */

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
        unmark(e->p, line);
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

        if (x->drained || y->drained)
                return y->drained - x->drained;
        return (distance > 0) - (distance < 0);
}

void pipeline_evacuate(struct pipeline *p, const char *why, line_take_cb *cb)
{
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
                cb(p, &e.lines[i]);
        free(e.lines);
}

/* --- too few connections to the database --- */

/* Without look-ups, or hierarchy, some lines can never be stored; with fewer writers all can. */
static bool lacks_connection(struct pg_conn *c)
{
        if (pg_conn_good(c) || !connect_too_many(c->error))
                return false;
        pg_conn_hurry(c);
        return true;
}

static void yield_one_writer(struct pipeline *p)
{
        unsigned connected = 0;
        struct writer *last = NULL;

        for (unsigned i = 0; i < p->config->database.writers; i++) {
                if (!pg_conn_connected(&p->writers[i].conn))
                        continue;
                connected++;
                last = &p->writers[i];
        }
        if (connected > 1)
                pg_conn_yield(&last->conn, "its connection is needed for look-ups: the server allows too few "
                                           "(boris-ingestd check says how many are needed)");
}

static void on_crowding_timer(uv_timer_t *timer)
{
        struct pipeline *p = timer->data;
        bool lookups = lacks_connection(&p->resolver.conn);
        bool hierarchy = lacks_connection(&p->hierarchy.writer.conn);

        if (lookups || hierarchy)
                yield_one_writer(p);
}

/* --- the beginning and the end --- */

static int open_spool(struct pipeline *p)
{
        const struct config *c = p->config;
        char error[SPOOL_ERROR_BYTES];
        int err = spool_open(&p->spool, p->loop, c->spool.dir, c->spool.max_bytes, &p->memory,
                             &overflow_spool_ops, p, error);

        if (err)
                log_error("spool.dir %s cannot be used: %s", c->spool.dir, error);
        overflow_open(p);
        return err;
}

static struct pace_limits pace_limits(const struct config *c)
{
        return (struct pace_limits){c->batch.rows, c->batch.bytes, c->batch.linger_ms};
}

void pipeline_limits_changed(struct pipeline *p)
{
        const struct pace_limits limits = pace_limits(p->config);

        p->memory.limit = p->config->limits.memory_bytes;
        batcher_set_limits(&p->batcher, &limits);
        hierarchy_set_limits(&p->hierarchy, &limits);
}

static void open_stages(struct pipeline *p)
{
        static const struct resolver_ops resolver_ops = {.on_resolved = on_resolved,
                                                         .settle = settle,
                                                         .on_unknown = on_unknown,
                                                         .on_abandoned = on_abandoned};
        static const struct hierarchy_ops hierarchy_ops = {.settle = settle,
                                                           .on_follower = on_follower,
                                                           .on_aside = on_aside,
                                                           .on_abandoned = on_aside_abandoned,
                                                           .on_written = on_written};
        static const struct writer_ops writer_ops = {.on_idle = on_writer_idle,
                                                     .on_committed = on_committed,
                                                     .settle = settle,
                                                     .on_missing = on_missing,
                                                     .on_return = on_return};
        const struct config *c = p->config;
        const struct pace_limits limits = pace_limits(c);
        const struct resolver_config resolver = {c->database.url, c->resolve.cache_objects,
                                                 c->resolve.unknown_grace_ms, c->resolve.recheck_ms};

        batcher_init(&p->batcher, p->loop, &p->memory, &limits, on_batch_waits, p);
        resolver_open(&p->resolver, p->loop, &resolver, &p->memory, &resolver_ops, p);
        hierarchy_open(&p->hierarchy, p->loop, c->database.url, &p->memory, &limits, &hierarchy_ops, p);
        p->writer_config = (struct writer_config){c->database.url, c->database.fk_check == FK_CHECK_BATCH};
        p->writers = calloc(c->database.writers, sizeof(*p->writers));
        if (!p->writers)
                abort();
        for (unsigned i = 0; i < c->database.writers; i++)
                writer_open(&p->writers[i], p->loop, &p->writer_config, i + 1, &writer_ops, p);
}

int pipeline_open(struct pipeline *p, uv_loop_t *loop, const struct config *config,
                  struct reject_file *rejects, struct receipt_clock *clock,
                  void (*on_hierarchy)(void *ctx, bool new_accounts), void *ctx)
{
        *p = (struct pipeline){
                .config = config, .loop = loop, .rejects = rejects, .on_hierarchy = on_hierarchy, .ctx = ctx};
        memory_init(&p->memory, config->limits.memory_bytes);
        receipts_init(&p->receipts, clock);
        uv_timer_init(loop, &p->pace);
        p->reader = decoded_reader(config->limits.max_line_bytes);
        open_stages(p);
        uv_timer_init(loop, &p->crowding);
        p->crowding.data = p;
        uv_timer_start(&p->crowding, on_crowding_timer, CROWDING_MS, CROWDING_MS);
        return open_spool(p);
}

static void on_writer_closed(struct writer *w)
{
        (void)w;
}

static void on_resolver_closed(struct resolver *r)
{
        (void)r;
}

static void on_hierarchy_closed(struct hierarchy *h)
{
        (void)h;
}

static void on_spool_closed(struct spool *s)
{
        (void)s;
}

static void on_batcher_closed(struct batcher *b)
{
        (void)b;
}

void pipeline_drain(struct pipeline *p)
{
        p->ending = true;
        batcher_drain(&p->batcher);
        batcher_wake(&p->batcher);
        hierarchy_drain(&p->hierarchy);
        resolver_drain(&p->resolver);
}

void pipeline_close(struct pipeline *p)
{
        assert(p->in_flight == 0);
        p->ending = true;
        uv_close((uv_handle_t *)&p->crowding, NULL);
        overflow_end(p);
        for (unsigned i = 0; i < p->config->database.writers; i++)
                writer_close(&p->writers[i], on_writer_closed);
        resolver_close(&p->resolver, on_resolver_closed);
        hierarchy_close(&p->hierarchy, on_hierarchy_closed);
        batcher_close(&p->batcher, on_batcher_closed);
        overflow_close(p);
        uv_close((uv_handle_t *)&p->pace, NULL);
        spool_close(&p->spool, on_spool_closed);
}

void pipeline_deinit(struct pipeline *p)
{
        memory_deinit(&p->memory);
        clients_deinit(&p->clients);
        field_reader_deinit(&p->reader);
        free(p->writers);
}
