/* The process: listens, lets clients in, stops on signals.
 *
 * Draining (SIGTERM, SIGINT): the listeners close, the sessions settle what they have received, say their
 * last words and close; when the last one is gone, nothing of theirs is in flight and all else is closed. A
 * second signal or shutdown.timeout_ms ends the process at once: what was not acked, the clients send again.
 */
#include "daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

#include "access.h"
#include "err.h"
#include "listener.h"
#include "log.h"
#include "pipeline.h"
#include "schema_check.h"
#include "service.h"
#include "session.h"

struct daemon {
        const struct config *config;
        uv_loop_t loop;
        struct access access;
        struct tls_server tls;
        struct listener listener;
        struct sessions sessions;
        struct pipeline pipeline;
        struct service service;
        int passed[SERVICE_SOCKETS_MAX]; /* sockets that systemd listens on for us */
        int passed_len;
        struct schema_check schema;
        uv_signal_t sigterm;
        uv_signal_t sigint;
        uv_signal_t sigusr1;
        uv_signal_t sighup;
        uv_timer_t deadline; /* of the drain */
        uv_timer_t finish;   /* runs the drain's last step outside of all callbacks */
        uint64_t accepted;   /* connections, since the start */
        struct log_limit refusals;
        bool draining;
        bool finished;
};

/* --- sessions --- */

static void on_finish(uv_timer_t *timer);

static void drain_step(struct daemon *d)
{
        if (d->draining && !d->finished && sessions_empty(&d->sessions))
                uv_timer_start(&d->finish, on_finish, 0, 0);
}

static void on_gone(void *ctx)
{
        drain_step(ctx);
}

static void on_line(void *ctx, struct session *s, uint64_t line_no, struct slice text, struct block *block)
{
        pipeline_on_line(&((struct daemon *)ctx)->pipeline, s, line_no, text, block);
}

static void on_too_long(void *ctx, struct session *s, uint64_t line_no)
{
        pipeline_on_too_long(&((struct daemon *)ctx)->pipeline, s, line_no);
}

static bool has_room(void *ctx)
{
        return pipeline_has_room(&((struct daemon *)ctx)->pipeline);
}

static bool has_room_for(void *ctx, const struct session *s)
{
        return pipeline_has_room_for(&((struct daemon *)ctx)->pipeline, s);
}

static void log_refusal(struct daemon *d, const struct session *s, const char *why)
{
        uint64_t refusals = log_limit_pass(&d->refusals, uv_now(&d->loop));

        if (refusals > 0)
                log_warn("connection %" PRIu64 " of %s refused: %s (%" PRIu64 " since the last such line)",
                         s->number, s->peer, why, refusals);
}

static const char *admit(void *ctx, const struct session *s)
{
        struct daemon *d = ctx;
        char why[64];

        if (s->denied) {
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

static void on_connection(void *ctx, int fd, bool tcp)
{
        struct daemon *d = ctx;
        const struct session_socket socket = {.fd = fd,
                                              .tcp = tcp,
                                              .denied = !tcp && !access_allows(&d->access, fd),
                                              .number = ++d->accepted};
        int r = sessions_accept_take(&d->sessions, &socket);

        if (r != 0)
                log_warn("connection %" PRIu64 " cannot be served: %s", socket.number, uv_strerror(r));
}

/* --- the end --- */

/* Closes all that is left, once. The loop ends with the last handle. */
static void close_all(struct daemon *d)
{
        d->finished = true;
        listener_close(&d->listener);
        sessions_deinit(&d->sessions);
        pipeline_close(&d->pipeline);
        schema_check_close(&d->schema);
        service_close(&d->service);
        uv_close((uv_handle_t *)&d->sigterm, NULL);
        uv_close((uv_handle_t *)&d->sigint, NULL);
        uv_close((uv_handle_t *)&d->sigusr1, NULL);
        uv_close((uv_handle_t *)&d->sighup, NULL);
        uv_close((uv_handle_t *)&d->deadline, NULL);
        uv_close((uv_handle_t *)&d->finish, NULL);
}

static void on_finish(uv_timer_t *timer)
{
        close_all(timer->data);
}

/* The first number of lines is the sum of those behind it, at any moment; and so are what lay in the spool at
 * the start and what was spooled the sum of what became of it. */
static void log_totals(const struct daemon *d, const char *what)
{
        const struct pipeline *p = &d->pipeline;

        log_info("%s: %" PRIu64 " connections; %" PRIu64 " lines: %" PRIu64 " stored, %" PRIu64
                 " duplicate, %" PRIu64 " rejected, %" PRIu64 " spooled, %" PRIu64 " empty, %" PRIu64
                 " not settled",
                 what, d->accepted, d->sessions.lines, p->counts[LINE_STORED], p->counts[LINE_DUPLICATE],
                 p->counts[LINE_REJECTED], p->counts[LINE_SPOOLED], d->sessions.empty,
                 p->in_flight + p->abandoned);
        if (spool_on(&p->spool))
                log_info("%s: spool: %" PRIu64 " lay there before, %" PRIu64 " spooled: %" PRIu64
                         " stored, %" PRIu64 " duplicate, %" PRIu64 " rejected, %" PRIu64
                         " lie there, %" PRIu64 " set aside",
                         what, p->spool_before, p->counts[LINE_SPOOLED], p->drained_counts[LINE_STORED],
                         p->drained_counts[LINE_DUPLICATE], p->drained_counts[LINE_REJECTED], p->spool.lines,
                         p->spool.lost);
}

static void on_status_signal(uv_signal_t *handle, int number)
{
        (void)number;
        log_totals(handle->data, "status");
}

static int load_tls(struct daemon *d)
{
        const struct config *c = d->config;
        char error[TLS_ERROR_BYTES];
        int err = 0;

        if (c->listen.tls_cert[0])
                err = tls_server_load(&d->tls, c->listen.tls_cert, c->listen.tls_key, c->listen.tls_client_ca,
                                      error);
        if (err)
                log_error("%s", error);
        return err;
}

/* --- the service manager --- */

static void on_ask_alive(void *ctx)
{
        service_alive(&((struct daemon *)ctx)->service);
}

/* The start is over when it is known how the database is. That it is away, or without tables, does not fail
 * the start: clients can connect, and wait. */
static void on_schema_change(void *ctx)
{
        struct daemon *d = ctx;
        char status[SERVICE_STATUS_BYTES];

        switch (d->schema.state) {
        case SCHEMA_UNKNOWN:
        case SCHEMA_AWAY:
                snprintf(status, sizeof(status), "Listening, but the database is away: clients wait");
                break;
        case SCHEMA_WRONG:
                snprintf(status, sizeof(status), "Listening, but clients wait: database: %s",
                         d->schema.trouble);
                break;
        case SCHEMA_FITS:
                snprintf(status, sizeof(status), "Listening");
                break;
        }
        service_status(&d->service, status);
        if (!d->service.ready)
                service_ready(&d->service);
}

/* New connections get the new certificates; those that are there stay. */
static void on_reload_signal(uv_signal_t *handle, int number)
{
        struct daemon *d = handle->data;

        (void)number;
        service_reloading(&d->service);
        if (!d->config->listen.tls_cert[0])
                log_info("SIGHUP: there are no certificates to read again; other settings need a restart");
        else if (load_tls(d) == 0)
                log_info("SIGHUP: the certificates were read again; other settings need a restart");
        else
                log_error("SIGHUP: the certificates stay as they were");
        service_ready(&d->service);
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
        service_stopping(&d->service);
        d->draining = true;
        listener_close(&d->listener);
        uv_timer_start(&d->deadline, on_deadline, d->config->shutdown.timeout_ms, 0);
        pipeline_drain(&d->pipeline);
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
        uv_signal_init(loop, &d->sighup);
        uv_timer_init(loop, &d->deadline);
        uv_timer_init(loop, &d->finish);
        d->sigterm.data = d;
        d->sigint.data = d;
        d->sigusr1.data = d;
        d->sighup.data = d;
        d->deadline.data = d;
        d->finish.data = d;
        uv_signal_start(&d->sigterm, on_signal, SIGTERM);
        uv_signal_start(&d->sigint, on_signal, SIGINT);
        uv_signal_start(&d->sigusr1, on_status_signal, SIGUSR1);
        uv_signal_start(&d->sighup, on_reload_signal, SIGHUP);
}

static void open_sessions(struct daemon *d)
{
        static const struct session_ops ops = {.admit = admit,
                                               .on_line = on_line,
                                               .on_too_long = on_too_long,
                                               .has_room = has_room,
                                               .has_room_for = has_room_for,
                                               .on_gone = on_gone};
        const struct config *c = d->config;
        const struct session_limits limits = {c->limits.max_line_bytes, c->limits.idle_ms,
                                              spool_on(&d->pipeline.spool), &d->tls};

        listener_init(&d->listener, &d->loop, on_connection, d);
        sessions_init(&d->sessions, &d->loop, &ops, d, &d->pipeline.memory, &limits);
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

/* A socket that systemd listens on takes the place of the one that the configuration names. */
static int listen_all(struct daemon *d)
{
        const struct config *c = d->config;
        char error[LISTENER_ERROR_BYTES];
        bool has_unix = false;
        bool has_tcp = false;
        int err = 0;

        if (d->passed_len < 0) {
                log_error("the sockets that systemd hands over cannot be used: %s", strerror(-d->passed_len));
                return ERR_CONFIG;
        }
        if (!c->listen.unix_path[0] && !c->listen.tcp[0] && d->passed_len == 0) {
                log_error("nothing to listen on: set listen.unix or listen.tcp");
                return ERR_CONFIG;
        }
        for (int i = 0; i < d->passed_len && err == 0; i++) {
                int family;

                err = listener_adopt_take(&d->listener, d->passed[i], d->tls.ctx != NULL, &family, error);
                has_unix |= err == 0 && family == AF_UNIX;
                has_tcp |= err == 0 && family != AF_UNIX;
        }
        if (err == 0 && !has_unix && c->listen.unix_path[0])
                err = listener_open_unix(&d->listener, c->listen.unix_path, c->listen.unix_mode, error);
        if (err == 0 && !has_tcp && c->listen.tcp[0])
                err = listener_open_tcp(&d->listener, c->listen.tcp, d->tls.ctx != NULL, error);
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

/* Connecting to the database, the spool and the reject file use libuv's threads; an attempt to connect may
 * take ten seconds, and must not hold up the disk. libuv reads this when its first thread is needed. */
static void make_threads(unsigned writers)
{
        char threads[16];

        snprintf(threads, sizeof(threads), "%u", writers + 5);
        setenv("UV_THREADPOOL_SIZE", threads, 1);
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
        d->passed_len = service_take_sockets(d->passed);
        signal(SIGPIPE, SIG_IGN);
        seed_jitter();
        raise_descriptor_limit(config->limits.max_connections);
        make_threads(config->database.writers);
        init_handles(d);
        service_init(&d->service, &d->loop, on_ask_alive, d);
        schema_check_open(&d->schema, &d->loop, config->database.url, on_schema_change, d);
        err = pipeline_open(&d->pipeline, &d->loop, config);
        open_sessions(d);
        if (!err)
                err = read_access(d);
        if (!err)
                err = load_tls(d);
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
        pipeline_deinit(&d->pipeline);
        access_deinit(&d->access);
        tls_server_deinit(&d->tls);
        if (uv_loop_close(&d->loop) != 0)
                abort(); /* a handle was forgotten */
        free(d);
        return err ? 1 : 0;
}
