/* Makes the stages and connects them:
 *
 *   sessions -> decode -> resolver -> batcher -> writers
 *       ^           |         ^                     |
 *       |           +-> hierarchy                   |
 *       |                     |                     |
 *       +------------------ settle -----------------+
 *
 * Spending that comes behind hierarchy records on one connection goes to the resolver when those are written.
 *
 * Backpressure is one question, has_room: sessions stop taking lines while sealed batches or many unresolved
 * rows wait, or the memory limit is reached; and those with hierarchy records or unknown objects under way
 * while there are too many of these. A line is settled exactly once, by whoever ends its way: the decoder and
 * the resolver with a refusal, a writer or the hierarchy with the database's word.
 *
 * Draining (SIGTERM, SIGINT): the listeners close, the sessions settle what they have received, say their
 * last words and close; when the last one is gone, nothing is in flight and all else is closed. A second
 * signal or shutdown.timeout_ms ends the process at once: what was not acked, the clients send again. */
#include "daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <uv.h>

#include "access.h"
#include "batcher.h"
#include "clock.h"
#include "hierarchy.h"
#include "hierarchy_record.h"
#include "listener.h"
#include "log.h"
#include "memory.h"
#include "rejects.h"
#include "resolver.h"
#include "session.h"
#include "spending_record.h"
#include "writer.h"

struct daemon {
        const struct config *config;
        uv_loop_t loop;
        struct memory memory;
        struct field_reader reader;
        struct access access;
        struct listener listener;
        struct sessions sessions;
        struct resolver resolver;
        struct hierarchy hierarchy;
        struct batcher batcher;
        struct rejects rejects;
        struct writer *writers;
        uv_signal_t sigterm;
        uv_signal_t sigint;
        uv_signal_t sigusr1;
        uv_timer_t deadline; /* of the drain */
        uv_timer_t finish;   /* runs the drain's last step outside of all callbacks */
        int64_t last_received_us;
        uint64_t refusals;      /* of connections, since the log told of one */
        uint64_t refusals_told; /* loop time in ms of that; 0: never */
        uint64_t in_flight;     /* lines not settled */
        uint64_t abandoned;     /* lines that were left unsettled at the end */
        uint64_t counts[LINE_OUTCOMES];
        bool draining;
        bool finished;
};

/* --- the end of a line --- */

static void on_finish(uv_timer_t *timer);

static void drain_step(struct daemon *d)
{
        if (d->draining && !d->finished && sessions_empty(&d->sessions))
                uv_timer_start(&d->finish, on_finish, 0, 0);
}

static void record_reject(struct daemon *d, const struct line *line, const struct reject *reject)
{
        const struct session *s = line->origin;
        const struct reject_origin origin = {s->peer, s->number, line->number};

        rejects_add(&d->rejects, &origin, line->text, reject);
}

static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct daemon *d = ctx;

        if (outcome == LINE_REJECTED)
                record_reject(d, line, reject);
        d->counts[outcome]++;
        d->in_flight--;
        session_settle(line->origin, line->number, outcome, reject);
        block_unref(line->block);
}

static void on_abandoned(void *ctx, const struct row *row)
{
        struct daemon *d = ctx;

        d->abandoned++;
        d->in_flight--;
        session_abandon(row->line.origin);
        block_unref(row->line.block);
}

/* --- a line's way --- */

static void on_resolved(void *ctx, const struct row *row)
{
        struct daemon *d = ctx;
        struct row ready = *row;

        spending_record_derive_id(&ready.rec);
        batcher_add_take(&d->batcher, &ready);
}

static void on_missing(void *ctx, const struct row *row)
{
        struct daemon *d = ctx;

        resolver_again_take(&d->resolver, row);
}

/* The moment of receipt, later for each line, so that no two lines without collectedAt share it. */
static int64_t receive_time(struct daemon *d)
{
        int64_t now = clock_now_us();

        d->last_received_us = now > d->last_received_us ? now : d->last_received_us + 1;
        return d->last_received_us;
}

static void resolve(struct daemon *d, struct row *row)
{
        if (resolver_resolve(&d->resolver, row))
                on_resolved(d, row);
}

static void on_follower(void *ctx, const struct row *row)
{
        struct row ready = *row;

        resolve(ctx, &ready);
}

static void on_spending(struct daemon *d, struct session *s, struct line *line, const struct fields *fields)
{
        struct row row;

        if (!spending_record_read(fields, receive_time(d), &row.rec)) {
                settle(d, line, LINE_REJECTED, fields->reject);
                return;
        }
        row.line = *line;
        if (hierarchy_pending(&d->hierarchy, s->hierarchy_batch))
                hierarchy_follow_take(&d->hierarchy, s->hierarchy_batch, &row);
        else
                resolve(d, &row);
}

static void on_hierarchy(struct daemon *d, struct session *s, struct line *line, const struct fields *fields)
{
        struct hierarchy_row row = {.line = *line, .kind = fields->kind};
        bool ok = fields->kind == RECORD_AD_ACCOUNT ? ad_account_record_read(fields, &row.rec.account)
                                                    : ad_object_record_read(fields, &row.rec.object);

        if (ok)
                s->hierarchy_batch = hierarchy_add_take(&d->hierarchy, &row);
        else
                settle(d, line, LINE_REJECTED, fields->reject);
}

static void on_line(void *ctx, struct session *s, uint64_t line_no, struct slice text, struct block *block)
{
        struct daemon *d = ctx;
        struct line line = {block_ref(block), text, s, line_no};
        struct reject reject;
        struct fields fields;

        d->in_flight++;
        if (!fields_read(&d->reader, text, &fields, &reject))
                settle(d, &line, LINE_REJECTED, &reject);
        else if (fields.kind == RECORD_SPENDING)
                on_spending(d, s, &line, &fields);
        else
                on_hierarchy(d, s, &line, &fields);
}

static void on_too_long(void *ctx, struct session *s, uint64_t line_no)
{
        struct daemon *d = ctx;
        struct line line = {.origin = s, .number = line_no};
        struct reject reject;

        d->in_flight++;
        reject_set(&reject, REJECT_LINE_TOO_LONG, NULL, "a line must not be longer than %zu bytes",
                   d->config->limits.max_line_bytes);
        settle(d, &line, LINE_REJECTED, &reject);
}

static void on_written(void *ctx, bool new_accounts)
{
        struct daemon *d = ctx;

        resolver_hierarchy_changed(&d->resolver, new_accounts);
}

static void on_unknown(void *ctx, void *origin, bool waits)
{
        struct session *s = origin;

        (void)ctx;
        s->unknown += waits ? 1 : (size_t)-1;
}

/* Memory that is full of unfinished lines alone, with nothing in flight, is freed by reading them to their
 * end. */
static bool has_room(void *ctx)
{
        struct daemon *d = ctx;

        return batcher_has_room(&d->batcher) && resolver_has_room(&d->resolver) &&
               !(memory_full(&d->memory) && d->in_flight > 0);
}

static bool has_room_for(void *ctx, const struct session *s)
{
        struct daemon *d = ctx;

        return (hierarchy_has_room(&d->hierarchy) || !hierarchy_pending(&d->hierarchy, s->hierarchy_batch)) &&
               (s->unknown == 0 || resolver_has_room_for_unknown(&d->resolver));
}

static void on_gone(void *ctx)
{
        drain_step(ctx);
}

/* --- batches --- */

static void on_sealed(void *ctx)
{
        struct daemon *d = ctx;

        for (unsigned i = 0; i < d->config->database.writers && !list_empty(&d->batcher.sealed); i++) {
                if (writer_idle(&d->writers[i]))
                        writer_write_take(&d->writers[i], batcher_take(&d->batcher));
        }
}

static void on_writer_idle(void *ctx, struct writer *w)
{
        struct daemon *d = ctx;
        struct batch *batch = batcher_take(&d->batcher);

        if (batch)
                writer_write_take(w, batch);
}

static void on_return(void *ctx, struct batch *batch)
{
        struct daemon *d = ctx;

        batcher_return(&d->batcher, batch);
}

/* --- connections --- */

/* One line a second at most: who connects again and again must not fill the log. */
static void log_refusal(struct daemon *d, const struct session *s, const char *why)
{
        uint64_t now = uv_now(&d->loop);

        d->refusals++;
        if (d->refusals_told > 0 && now - d->refusals_told < 1000)
                return;
        log_warn("connection %" PRIu64 " of %s refused: %s (%" PRIu64 " since the last such line)", s->number,
                 s->peer, why, d->refusals);
        d->refusals = 0;
        d->refusals_told = now;
}

static const char *admit(void *ctx, const struct session *s)
{
        struct daemon *d = ctx;
        char why[64];
        uv_os_fd_t fd;

        if (s->uv.handle.type == UV_NAMED_PIPE &&
            (uv_fileno(&s->uv.handle, &fd) != 0 || !access_allows(&d->access, fd))) {
                log_refusal(d, s, "neither in listen.allow_users nor in listen.allow_groups");
                return "not_allowed";
        }
        if (d->sessions.len > d->config->limits.max_connections) {
                snprintf(why, sizeof(why), "limits.max_connections is %u", d->config->limits.max_connections);
                log_refusal(d, s, why);
                return "too_many_connections";
        }
        return NULL;
}

static void on_connection(void *ctx, uv_stream_t *from)
{
        struct daemon *d = ctx;
        int r = sessions_accept(&d->sessions, from);

        if (r != 0)
                log_warn("accepting a connection failed: %s", uv_strerror(r));
}

/* --- the end --- */

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

static void on_rejects_closed(struct rejects *r)
{
        (void)r;
}

static void on_batcher_closed(struct batcher *b)
{
        (void)b;
}

/* Closes all that is left, once. The loop ends with the last handle. */
static void close_all(struct daemon *d)
{
        d->finished = true;
        listener_close(&d->listener);
        sessions_deinit(&d->sessions);
        for (unsigned i = 0; i < d->config->database.writers; i++)
                writer_close(&d->writers[i], on_writer_closed);
        resolver_close(&d->resolver, on_resolver_closed);
        hierarchy_close(&d->hierarchy, on_hierarchy_closed);
        batcher_close(&d->batcher, on_batcher_closed);
        rejects_close(&d->rejects, on_rejects_closed);
        uv_close((uv_handle_t *)&d->sigterm, NULL);
        uv_close((uv_handle_t *)&d->sigint, NULL);
        uv_close((uv_handle_t *)&d->sigusr1, NULL);
        uv_close((uv_handle_t *)&d->deadline, NULL);
        uv_close((uv_handle_t *)&d->finish, NULL);
}

static void on_finish(uv_timer_t *timer)
{
        struct daemon *d = timer->data;

        assert(d->in_flight == 0);
        close_all(d);
}

/* The first number is the sum of those behind it, at any moment. */
static void log_totals(const struct daemon *d, const char *what)
{
        log_info("%s: %" PRIu64 " connections; %" PRIu64 " lines: %" PRIu64 " stored, %" PRIu64
                 " duplicate, %" PRIu64 " rejected, %" PRIu64 " empty, %" PRIu64 " not settled",
                 what, d->sessions.accepted, d->sessions.lines, d->counts[LINE_STORED],
                 d->counts[LINE_DUPLICATE], d->counts[LINE_REJECTED], d->sessions.empty,
                 d->in_flight + d->abandoned);
}

static void on_status_signal(uv_signal_t *handle, int number)
{
        (void)number;
        log_totals(handle->data, "status");
}

/* Handles are still open, requests in flight: nothing can be freed, the kernel does it. */
static void end_at_once(const struct daemon *d, const char *why)
{
        log_warn("ending at once: %s; what was not acked, clients send again", why);
        log_totals(d, "stopped");
        _exit(0);
}

static void on_deadline(uv_timer_t *timer)
{
        end_at_once(timer->data, "shutdown.timeout_ms is over");
}

static void on_signal(uv_signal_t *handle, int number)
{
        struct daemon *d = handle->data;

        if (d->draining)
                end_at_once(d, "a second signal");
        log_info("stopping on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
        d->draining = true;
        listener_close(&d->listener);
        uv_timer_start(&d->deadline, on_deadline, d->config->shutdown.timeout_ms, 0);
        d->batcher.linger_ms = 0;
        batcher_seal(&d->batcher);
        hierarchy_drain(&d->hierarchy);
        resolver_drain(&d->resolver);
        sessions_drain(&d->sessions);
        drain_step(d);
}

/* --- the beginning --- */

static void init_handles(struct daemon *d)
{
        uv_loop_t *loop = &d->loop;

        uv_signal_init(loop, &d->sigterm);
        uv_signal_init(loop, &d->sigint);
        uv_signal_init(loop, &d->sigusr1);
        uv_timer_init(loop, &d->deadline);
        uv_timer_init(loop, &d->finish);
        d->sigterm.data = d;
        d->sigint.data = d;
        d->sigusr1.data = d;
        d->deadline.data = d;
        d->finish.data = d;
        uv_signal_start(&d->sigterm, on_signal, SIGTERM);
        uv_signal_start(&d->sigint, on_signal, SIGINT);
        uv_signal_start(&d->sigusr1, on_status_signal, SIGUSR1);
}

static void init_stages(struct daemon *d)
{
        static const struct session_ops session_ops = {.admit = admit,
                                                       .on_line = on_line,
                                                       .on_too_long = on_too_long,
                                                       .has_room = has_room,
                                                       .has_room_for = has_room_for,
                                                       .on_gone = on_gone};
        static const struct resolver_ops resolver_ops = {.on_resolved = on_resolved,
                                                         .settle = settle,
                                                         .on_unknown = on_unknown,
                                                         .on_abandoned = on_abandoned};
        static const struct hierarchy_ops hierarchy_ops = {
                .settle = settle, .on_follower = on_follower, .on_written = on_written};
        static const struct writer_ops writer_ops = {.on_idle = on_writer_idle,
                                                     .settle = settle,
                                                     .on_missing = on_missing,
                                                     .on_return = on_return};
        const struct config *c = d->config;
        const struct batcher_limits limits = {c->batch.rows, c->batch.bytes, c->batch.linger_ms,
                                              c->database.writers};

        const struct session_limits session_limits = {c->limits.max_line_bytes, c->limits.idle_ms};
        const struct hierarchy_limits hierarchy_limits = {c->batch.rows, c->batch.bytes, c->batch.linger_ms};

        memory_init(&d->memory, c->limits.memory_bytes);
        listener_init(&d->listener, &d->loop, on_connection, d);
        sessions_init(&d->sessions, &d->loop, &session_ops, d, &d->memory, &session_limits);
        batcher_init(&d->batcher, &d->loop, &d->memory, &limits, on_sealed, d);
        resolver_open(&d->resolver, &d->loop, c->database.url, c->resolve.cache_objects,
                      c->resolve.unknown_grace_ms, &d->memory, &resolver_ops, d);
        hierarchy_open(&d->hierarchy, &d->loop, c->database.url, &d->memory, &hierarchy_limits,
                       &hierarchy_ops, d);
        d->writers = calloc(c->database.writers, sizeof(*d->writers));
        if (!d->writers)
                abort();
        for (unsigned i = 0; i < c->database.writers; i++)
                writer_open(&d->writers[i], &d->loop, c->database.url, i + 1, &writer_ops, d);
}

static int read_access(struct daemon *d)
{
        const struct config *c = d->config;
        char error[ACCESS_ERROR_BYTES];
        int err = access_init(&d->access, c->listen.allow_users, c->listen.allow_groups, error);

        if (err)
                log_error("%s", error);
        return err;
}

static int open_rejects(struct daemon *d)
{
        const struct config *c = d->config;
        const struct rejects_limits limits = {c->rejects.max_bytes, c->rejects.keep};
        int err = rejects_open(&d->rejects, &d->loop, c->rejects.file, &limits);

        if (err)
                log_error("rejects.file %s cannot be written: %s", c->rejects.file, strerror(-err));
        return err ? ERR_CONFIG : 0;
}

static int listen_all(struct daemon *d)
{
        const struct config *c = d->config;
        char error[LISTENER_ERROR_BYTES];
        int err = 0;

        if (!c->listen.unix_path[0] && !c->listen.tcp[0]) {
                log_error("nothing to listen on: set listen.unix or listen.tcp");
                return ERR_CONFIG;
        }
        if (c->listen.unix_path[0])
                err = listener_open_unix(&d->listener, c->listen.unix_path, c->listen.unix_mode, error);
        if (err == 0 && c->listen.tcp[0])
                err = listener_open_tcp(&d->listener, c->listen.tcp, error);
        if (err)
                log_error("%s", error);
        return err;
}

/* Each client is a descriptor; the soft limit is often 1024, the hard one plenty. */
static void raise_descriptor_limit(unsigned connections)
{
        enum { OTHER_DESCRIPTORS = 256 };
        struct rlimit limit;
        rlim_t want = (rlim_t)connections + OTHER_DESCRIPTORS;

        if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
                return;
        limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
                log_warn(
                        "limits.max_connections is %u, but only %llu descriptors may be open (RLIMIT_NOFILE)",
                        connections, (unsigned long long)limit.rlim_cur);
}

static void seed_jitter(void)
{
        srandom((unsigned)(uv_hrtime() ^ (uint64_t)getpid()));
}

int daemon_run(const struct config *config)
{
        struct daemon *d = calloc(1, sizeof(*d));
        int err;

        if (!d || uv_loop_init(&d->loop) != 0) {
                log_error("no memory or descriptors for an event loop");
                free(d);
                return 1;
        }
        d->config = config;
        signal(SIGPIPE, SIG_IGN);
        seed_jitter();
        raise_descriptor_limit(config->limits.max_connections);
        init_handles(d);
        init_stages(d);
        err = read_access(d);
        if (!err)
                err = open_rejects(d);
        if (!err)
                err = listen_all(d);
        if (err)
                close_all(d);
        else
                log_info("boris-ingestd " INGESTD_VERSION
                         " started: %u writers, batches of %u rows or %zu bytes or %u ms",
                         config->database.writers, config->batch.rows, config->batch.bytes,
                         config->batch.linger_ms);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        if (!err)
                log_totals(d, "stopped");
        memory_deinit(&d->memory);
        field_reader_deinit(&d->reader);
        access_deinit(&d->access);
        free(d->writers);
        if (uv_loop_close(&d->loop) != 0)
                abort(); /* a handle was forgotten */
        free(d);
        return err ? 1 : 0;
}
