/* Makes the stages and connects them:
 *
 *   sessions -> decode -> resolver -> batcher -> writers
 *       ^                                           |
 *       +------------------ settle -----------------+
 *
 * Backpressure is one question, has_room: sessions stop taking lines while sealed batches or many unresolved
 * rows wait, or the memory limit is reached. A row is settled exactly once, by whoever ends its way: the
 * decoder and the resolver with a refusal, a writer with the database's word.
 *
 * Draining (SIGTERM, SIGINT): the listeners close, the sessions settle what they have received, say their
 * last words and close; when the last one is gone, nothing is in flight and all else is closed. A second
 * signal or shutdown.timeout_ms ends the process at once: what was not acked, the clients send again. */
#include "daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/resource.h>
#include <uv.h>

#include "batcher.h"
#include "clock.h"
#include "listener.h"
#include "log.h"
#include "memory.h"
#include "record.h"
#include "resolver.h"
#include "session.h"
#include "writer.h"

struct daemon {
        const struct config *config;
        uv_loop_t loop;
        struct memory memory;
        struct record_decoder decoder;
        struct listener listener;
        struct sessions sessions;
        struct resolver resolver;
        struct batcher batcher;
        struct writer *writers;
        uv_signal_t sigterm;
        uv_signal_t sigint;
        uv_timer_t deadline; /* of the drain */
        uv_timer_t finish;   /* runs the drain's last step outside of all callbacks */
        int64_t last_received_us;
        uint64_t in_flight; /* rows not settled */
        uint64_t counts[LINE_OUTCOMES];
        bool draining;
        bool finished;
};

/* --- the end of a row --- */

static void on_finish(uv_timer_t *timer);

static void drain_step(struct daemon *d)
{
        if (d->draining && !d->finished && sessions_empty(&d->sessions))
                uv_timer_start(&d->finish, on_finish, 0, 0);
}

static void settle(void *ctx, struct row *row, enum line_outcome outcome, const struct reject *reject)
{
        struct daemon *d = ctx;

        d->counts[outcome]++;
        d->in_flight--;
        session_settle(row->origin, row->line_no, outcome, reject);
        block_unref(row->block);
}

/* --- a row's way --- */

static void on_resolved(void *ctx, const struct row *row)
{
        struct daemon *d = ctx;
        struct row ready = *row;

        record_derive_id(&ready.rec);
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

static void on_line(void *ctx, struct session *s, uint64_t line_no, struct slice line, struct block *block)
{
        struct daemon *d = ctx;
        struct reject reject;
        struct row row;

        row.block = block_ref(block);
        row.line = line;
        row.origin = s;
        row.line_no = line_no;
        d->in_flight++;
        if (!record_decode(&d->decoder, line, receive_time(d), &row.rec, &reject))
                settle(d, &row, LINE_REJECTED, &reject);
        else if (resolver_resolve(&d->resolver, &row))
                on_resolved(d, &row);
}

/* Memory that is full of unfinished lines alone, with nothing in flight, is freed by reading them to their
 * end. */
static bool has_room(void *ctx)
{
        struct daemon *d = ctx;

        return batcher_has_room(&d->batcher) && resolver_has_room(&d->resolver) &&
               !(memory_full(&d->memory) && d->in_flight > 0);
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

static void on_connection(void *ctx, uv_stream_t *from)
{
        struct daemon *d = ctx;
        bool full = d->sessions.len >= d->config->limits.max_connections;
        int r = sessions_accept(&d->sessions, from, full ? "too_many_connections" : NULL);

        if (r != 0)
                log_warn("accepting a connection failed: %s", uv_strerror(r));
        else if (full)
                log_warn("connection %" PRIu64 " refused: limits.max_connections is %u", d->sessions.accepted,
                         d->config->limits.max_connections);
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
        batcher_close(&d->batcher, on_batcher_closed);
        uv_close((uv_handle_t *)&d->sigterm, NULL);
        uv_close((uv_handle_t *)&d->sigint, NULL);
        uv_close((uv_handle_t *)&d->deadline, NULL);
        uv_close((uv_handle_t *)&d->finish, NULL);
}

static void on_finish(uv_timer_t *timer)
{
        struct daemon *d = timer->data;

        assert(d->in_flight == 0);
        close_all(d);
}

static void log_totals(const struct daemon *d)
{
        log_info("stopped: %" PRIu64 " connections, %" PRIu64 " lines, %" PRIu64 " stored, %" PRIu64
                 " duplicate, %" PRIu64 " rejected, %" PRIu64 " not settled",
                 d->sessions.accepted, d->sessions.lines, d->counts[LINE_STORED], d->counts[LINE_DUPLICATE],
                 d->counts[LINE_REJECTED], d->in_flight);
}

/* Handles are still open, requests in flight: nothing can be freed, the kernel does it. */
static void end_at_once(const struct daemon *d, const char *why)
{
        log_warn("ending at once: %s; what was not acked, clients send again", why);
        log_totals(d);
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
        sessions_drain(&d->sessions);
        drain_step(d);
}

/* --- the beginning --- */

static void init_handles(struct daemon *d)
{
        uv_loop_t *loop = &d->loop;

        uv_signal_init(loop, &d->sigterm);
        uv_signal_init(loop, &d->sigint);
        uv_timer_init(loop, &d->deadline);
        uv_timer_init(loop, &d->finish);
        d->sigterm.data = d;
        d->sigint.data = d;
        d->deadline.data = d;
        d->finish.data = d;
        uv_signal_start(&d->sigterm, on_signal, SIGTERM);
        uv_signal_start(&d->sigint, on_signal, SIGINT);
}

static void init_stages(struct daemon *d)
{
        static const struct session_ops session_ops = {
                .on_line = on_line, .has_room = has_room, .on_gone = on_gone};
        static const struct resolver_ops resolver_ops = {.on_resolved = on_resolved, .settle = settle};
        static const struct writer_ops writer_ops = {.on_idle = on_writer_idle,
                                                     .settle = settle,
                                                     .on_missing = on_missing,
                                                     .on_return = on_return};
        const struct config *c = d->config;
        const struct batcher_limits limits = {c->batch.rows, c->batch.bytes, c->batch.linger_ms,
                                              c->database.writers};

        memory_init(&d->memory, c->limits.memory_bytes);
        listener_init(&d->listener, &d->loop, on_connection, d);
        sessions_init(&d->sessions, &d->loop, &session_ops, d, &d->memory, c->limits.max_line_bytes);
        batcher_init(&d->batcher, &d->loop, &d->memory, &limits, on_sealed, d);
        resolver_open(&d->resolver, &d->loop, c->database.url, c->resolve.cache_objects, &d->memory,
                      &resolver_ops, d);
        d->writers = calloc(c->database.writers, sizeof(*d->writers));
        if (!d->writers)
                abort();
        for (unsigned i = 0; i < c->database.writers; i++)
                writer_open(&d->writers[i], &d->loop, c->database.url, i + 1, &writer_ops, d);
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
        seed_jitter();
        raise_descriptor_limit(config->limits.max_connections);
        init_handles(d);
        init_stages(d);
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
                log_totals(d);
        memory_deinit(&d->memory);
        record_decoder_deinit(&d->decoder);
        free(d->writers);
        if (uv_loop_close(&d->loop) != 0)
                abort(); /* a handle was forgotten */
        free(d);
        return err ? 1 : 0;
}
