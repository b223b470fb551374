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
 * Backpressure is one question, why_paused: sessions stop taking lines while a full batch or many unresolved
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
#include "base/memory.h"
#include "daemon/decoded.h"
#include "daemon/pipeline_parts.h"
#include "server/sessions.h"
#include "spending/spending_record.h"

enum {
        /* A client sends little, too, if it has less than this part of the lines that clients have here on average. */
        LITTLE_PART = 4,
};

/* --- the end of a line --- */

static void note_reject(struct pipeline *p, const struct line *line, const struct reject *reject)
{
        const struct line_source_ops *source = line->source->ops;
        struct line_from from = source->from(line->source, line);

        reject_file_add(p->rejects, &from, line->text, reject, source->acked ? REJECT_SPOOLED : REJECT_TOLD);
        if (reject->code == REJECT_REFUSED_BY_DATABASE)
                pipeline_note_fault(p, line->source);
        reject_ring_add(&p->latest, from.peer, from.connection, from.line, reject);
        p->rejected[reject->code]++;
}

/* True for lines of a client that is gone, one of whose lines was dropped: perhaps one whose effect they must see. The client
 * has no ack of it, and sends all of them again. Until then they may be stored, but are neither rejected nor spooled. */
static bool is_dropped(const struct line *line)
{
        return line->source->lacks_line;
}

static void end_line(struct pipeline *p, struct line *line, enum line_outcome outcome,
                     const struct reject *reject)
{
        if (outcome == LINE_REJECTED && is_dropped(line)) {
                pipeline_give_up_take(p, line);
                return;
        }
        pipeline_unmark(p, line);
        if (outcome == LINE_REJECTED)
                note_reject(p, line, reject);
        line_settle(line, outcome, reject);
}

/* Called by a stage. */
static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct pipeline *p = ctx;

        overflow_note_progress(&p->overflow);
        end_line(p, line, outcome, reject);
}

/* Called by a writer, of spending or of the hierarchy. */
static void settle_row(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        line->source->clean += outcome != LINE_REJECTED;
        settle(ctx, line, outcome, reject);
}

static void on_abandoned(void *ctx, struct line *line)
{
        struct pipeline *p = ctx;

        if (overflow_on(&p->overflow))
                overflow_keep_take(&p->overflow, line);
        else
                line_give_up(line);
}

/* --- a line's way --- */

static void add_resolved_take(struct pipeline *p, struct row *row)
{
        enum batcher_sender sender = pipeline_sender(p, row->line.source);

        if (sender >= SENDER_NEW && pipeline_gives_up(p, row->line.source)) {
                pipeline_give_up_take(p, &row->line);
                return;
        }
        spending_record_derive_id(&row->rec);
        if (sender >= SENDER_NEW)
                pipeline_mark_doubtful(&row->line);
        batcher_add_take(&p->batcher, row, sender);
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

        pipeline_unmark(p, &missing.line);
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

        pipeline_unmark(ctx, &ready.line);
        resolve(ctx, &ready);
}

static void on_aside(void *ctx, struct line *line)
{
        pipeline_mark_doubtful(line);
        pipeline_mark_resting(ctx, line);
}

static void on_fault(void *ctx, struct line *line)
{
        pipeline_note_fault(ctx, line->source);
}

static enum batcher_sender sender_now(void *ctx, const struct line *line)
{
        return line->source->gone ? SENDER_DISTRUSTED : pipeline_sender(ctx, line->source);
}

static bool may_rest(void *ctx, const struct line *line)
{
        return pipeline_may_rest(ctx, line);
}

static void on_aside_abandoned(void *ctx, struct line *line)
{
        pipeline_give_up_take(ctx, line);
}

static void add_hierarchy_take(struct pipeline *p, struct hierarchy_row *row)
{
        struct line_source *source = row->line.source;

        row->sender = pipeline_sender(p, source);
        if (row->sender >= SENDER_NEW && pipeline_gives_up(p, source)) {
                pipeline_give_up_take(p, &row->line);
                return;
        }
        if (row->sender >= SENDER_NEW)
                pipeline_mark_doubtful(&row->line);
        source->last_hierarchy = hierarchy_add_take(&p->hierarchy, row);
}

static void route(struct pipeline *p, struct line *line, struct decoded *decoded)
{
        struct line_source *source = line->source;
        struct reject reject;

        if (decoded->kind != RECORD_SPENDING && !decoded_permitted(decoded, &reject)) {
                end_line(p, line, LINE_REJECTED, &reject);
                return;
        }
        if (decoded->kind != RECORD_SPENDING)
                add_hierarchy_take(p, &decoded->as.hierarchy);
        else if (hierarchy_pending(&p->hierarchy, source->last_hierarchy))
                hierarchy_follow_take(&p->hierarchy, source->last_hierarchy, &decoded->as.spending);
        else if (!hierarchy_hold_take(&p->hierarchy, &decoded->as.spending))
                resolve(p, &decoded->as.spending);
}

void pipeline_route_take(struct pipeline *p, struct line *line)
{
        struct decoded decoded;
        struct reject reject;

        if (!decoded_read(&p->reader, line, &decoded, &reject))
                end_line(p, line, LINE_REJECTED, &reject);
        else if (decoded.kind == RECORD_HELLO)
                end_line(p, line, LINE_EMPTY, NULL);
        else
                route(p, line, &decoded);
}

static void on_line(void *ctx, struct session *s, uint64_t line_no, struct slice text, struct block *block)
{
        struct pipeline *p = ctx;
        struct line line = {.block = block_ref(block),
                            .text = text,
                            .client = rules_ref(s->client),
                            .source = &s->line_source,
                            .number = line_no,
                            .receipt = receipts_next(&p->receipts, uv_now(p->loop))};
        struct decoded decoded;
        struct reject reject;

        line_begin(line.source);
        if (line.client)
                rules_take_line(line.client, line.text.len);
        if (is_dropped(&line)) {
                pipeline_give_up_take(p, &line);
        } else if (!decoded_read(&p->reader, &line, &decoded, &reject)) {
                end_line(p, &line, LINE_REJECTED, &reject);
        } else if (decoded.kind == RECORD_HELLO) {
                pipeline_on_hello(p, s, &decoded.as.hello);
                end_line(p, &line, LINE_EMPTY, NULL);
        } else if (!overflow_diverts(&p->overflow)) {
                route(p, &line, &decoded);
        } else if (!decoded_permitted(&decoded, &reject)) {
                end_line(p, &line, LINE_REJECTED, &reject);
        } else {
                overflow_add_take(&p->overflow, &line);
        }
}

static void on_too_long(void *ctx, struct session *s, uint64_t line_no)
{
        struct pipeline *p = ctx;
        struct line line = {.client = rules_ref(s->client), .source = &s->line_source, .number = line_no};
        struct reject reject;

        line_begin(line.source);
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
        uint64_t change = waits ? 1 : (uint64_t)-1;

        (void)ctx;
        line->source->tally->unknown += change;
        line->source->unknown += change;
}

/* --- room --- */

/* Number of lines that wait for an unknown object, or are resting. Beyond half of the memory they count as
 * all others do; otherwise there would be no limit. */
static size_t waiting_lines(const struct pipeline *p)
{
        return p->direct.unknown + (p->resting_bytes < p->memory.limit / 2 ? p->direct.resting : 0);
}

/* Memory filled by lines on their way to the database will soon be free. Memory of waiting lines does not
 * count here: a client would have to wait as long as they do. */
bool pipeline_memory_full(const struct pipeline *p)
{
        return memory_full(&p->memory) && p->direct.in_flight > waiting_lines(p);
}

/* For any line, of the spool, too. */
bool pipeline_stages_have_room(const struct pipeline *p)
{
        const struct line_tally *replayed = &p->overflow.tally;

        return batcher_has_room(&p->batcher) && batcher_has_room_for_doubtful(&p->batcher) &&
               resolver_has_room(&p->resolver) && hierarchy_has_room(&p->hierarchy) &&
               hierarchy_has_room_aside(&p->hierarchy) &&
               !(memory_full(&p->memory) && p->direct.in_flight + replayed->in_flight >
                                                    waiting_lines(p) + replayed->unknown + replayed->resting);
}

bool pipeline_has_room_for_doubtful(const struct pipeline *p)
{
        return batcher_has_room_for_doubtful(&p->batcher) && hierarchy_has_room_aside(&p->hierarchy) &&
               p->resting_bytes < p->memory.limit / 4;
}

/* A client that has much less here than others does not wait for the room that these have filled. */
static bool sends_little(const struct pipeline *p, const struct session *s)
{
        uint64_t share = p->direct.in_flight / (LITTLE_PART * ((uint64_t)sessions_clients(s->set) + 1));

        return s->in_flight < (share > PIPELINE_LITTLE_LINES ? share : PIPELINE_LITTLE_LINES);
}

/* For rows of any session, or with @s of this one. */
static bool has_room_for_rows(const struct pipeline *p, const struct session *s)
{
        return batcher_has_room(&p->batcher) ||
               (batcher_has_quick_room(&p->batcher) && (!s || sends_little(p, s)));
}

/* Of a session alone. */
static enum pause_reason why_paused_alone(const struct pipeline *p, const struct session *s)
{
        const struct line_source *source = &s->line_source;

        if (!hierarchy_has_room(&p->hierarchy) && hierarchy_pending(&p->hierarchy, source->last_hierarchy))
                return PAUSE_HIERARCHY;
        if (source->unknown > 0 && !resolver_has_room_for_unknown(&p->resolver))
                return PAUSE_UNKNOWN_OBJECTS;
        if ((source->doubtful > 0 && !pipeline_has_room_for_doubtful(p)) || !pipeline_has_room_for_new(p, s))
                return PAUSE_BAD_ROWS;
        return PAUSE_NONE;
}

static enum pause_reason why_paused(void *ctx, const struct session *s)
{
        struct pipeline *p = ctx;

        if (s && !pipeline_within_limits(p, s))
                return PAUSE_CLIENT_LIMIT;
        if (overflow_diverts(&p->overflow))
                return overflow_has_room(&p->overflow) ? PAUSE_NONE : PAUSE_SPOOL;
        if (!has_room_for_rows(p, s) || !resolver_has_room(&p->resolver))
                return PAUSE_DATABASE;
        if (pipeline_memory_full(p))
                return pipeline_database_up(p) ? PAUSE_MEMORY : PAUSE_DATABASE;
        return s ? why_paused_alone(p, s) : PAUSE_NONE;
}

static void on_ended(void *ctx, const struct session *s)
{
        struct pipeline *p = ctx;

        if (p->direct.in_flight > s->in_flight || p->overflow.tally.in_flight > 0)
                return; /* others' lines may join the batch */
        batcher_hurry(&p->batcher);
        hierarchy_hurry(&p->hierarchy);
}

struct session_sink pipeline_sink(struct pipeline *p)
{
        static const struct session_sink_ops ops = {.on_line = on_line,
                                                    .on_too_long = on_too_long,
                                                    .on_ended = on_ended,
                                                    .why_paused = why_paused};

        return (struct session_sink){.ops = &ops,
                                     .ctx = p,
                                     .memory = &p->memory,
                                     .tally = &p->direct,
                                     .with_spool = overflow_on(&p->overflow)};
}

/* --- batches --- */

static struct batcher_busy busy_writers(const struct pipeline *p)
{
        struct batcher_busy busy = {0};

        for (unsigned i = 0; i < p->config->database.writers; i++) {
                const struct batch *batch = p->writers[i].batch;

                busy.doubtful += batch && batch->doubtful;
                busy.ordinary += batch && !batch->doubtful;
        }
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

static void on_return(void *ctx, struct batch *batch)
{
        pipeline_return_take(ctx, batch);
}

/* --- the beginning and the end --- */

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
        static const struct hierarchy_ops hierarchy_ops = {.settle = settle_row,
                                                           .on_follower = on_follower,
                                                           .on_aside = on_aside,
                                                           .on_fault = on_fault,
                                                           .sender = sender_now,
                                                           .may_rest = may_rest,
                                                           .on_abandoned = on_aside_abandoned,
                                                           .on_written = on_written};
        static const struct writer_ops writer_ops = {.on_idle = on_writer_idle,
                                                     .on_committed = on_committed,
                                                     .settle = settle_row,
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
        p->writers = must_calloc(c->database.writers, sizeof(*p->writers));
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
        pipeline_open_doubt(p);
        open_stages(p);
        pipeline_open_crowding(p);
        return pipeline_open_overflow(p);
}

void pipeline_drain(struct pipeline *p)
{
        p->ending = true;
        batcher_drain(&p->batcher);
        batcher_wake(&p->batcher);
        hierarchy_drain(&p->hierarchy);
        resolver_drain(&p->resolver);
        overflow_drain(&p->overflow);
        pipeline_stop_searching(p);
}

void pipeline_close(struct pipeline *p)
{
        assert(p->direct.in_flight == 0);
        p->ending = true;
        uv_close((uv_handle_t *)&p->crowding, NULL);
        uv_close((uv_handle_t *)&p->give_up, NULL);
        overflow_end(&p->overflow);
        for (unsigned i = 0; i < p->config->database.writers; i++)
                writer_close(&p->writers[i], NULL);
        resolver_close(&p->resolver, NULL);
        hierarchy_close(&p->hierarchy, NULL);
        batcher_close(&p->batcher, NULL);
        overflow_close(&p->overflow);
        uv_close((uv_handle_t *)&p->pace, NULL);
}

void pipeline_deinit(struct pipeline *p)
{
        memory_deinit(&p->memory);
        clients_deinit(&p->clients);
        field_reader_deinit(&p->reader);
        free(p->writers);
}
