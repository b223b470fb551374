/* The process: listens, hands clients to workers, stops on signals. All this runs on the main thread's loop;
 * lines are processed by the workers (worker.c).
 *
 * Stopping (SIGTERM, SIGINT): the listeners close, then the workers settle their lines and end, then
 * everything else is closed. A second signal, or shutdown.timeout_ms, stops the process immediately: clients
 * will resend unacked lines. */
#include "daemon/daemon.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <uv.h>

#include "base/err.h"
#include "base/log.h"
#include "daemon/fresh.h"
#include "daemon/process.h"
#include "daemon/reject_file.h"
#include "daemon/schema_check.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/unknown_lines.h"
#include "daemon/workers.h"
#include "model/db.h"
#include "monitor/monitor.h"
#include "monitor/status_line.h"
#include "server/access.h"
#include "server/listener.h"

enum {
        /* how long to wait for the last stats of workers that are stopped immediately */
        LAST_WORDS_MS = 1000,
        STATUS_LINE_MS = 3000,
};

struct daemon {
        struct config *config;
        const struct config_source *source;
        uv_loop_t loop;
        struct access access;
        struct tls_server tls;
        struct listener listener;
        struct reject_file rejects;
        struct unknown_lines unknown;
        struct workers workers;
        struct monitor monitor;
        struct service service;
        int passed[SERVICE_SOCKETS_MAX]; /* sockets passed by systemd */
        int passed_len;
        struct schema_check schema;
        uint64_t accepted; /* client connections since the start */
        struct signals signals;
        uv_timer_t deadline; /* of stopping */
        uv_timer_t status;   /* interval of status messages to systemd */
        struct status_line status_line;
        bool draining;
        bool closing; /* the workers have ended */
        bool ending_at_once;
};

static void on_connection(void *ctx, int fd, bool tcp)
{
        struct daemon *d = ctx;
        enum session_peer_kind peer_kind = tcp || access_allows(&d->access, fd) ? PEER_CLIENT : PEER_DENIED;
        const struct session_socket socket = {
                .fd = fd, .tcp = tcp, .peer_kind = peer_kind, .number = ++d->accepted};

        monitor_on_accepted(&d->monitor);
        workers_connect_take(&d->workers, &socket);
}

/* Connects the daemon to itself, as a client. */
static int connect_myself(void *ctx)
{
        struct daemon *d = ctx;
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
                return -1;
        monitor_on_accepted(&d->monitor);
        workers_connect_take(&d->workers, &(struct session_socket){.fd = ends[0],
                                                                   .peer_kind = PEER_OURSELVES,
                                                                   .number = ++d->accepted});
        return ends[1];
}

static bool has_room(void *ctx)
{
        return workers_have_room(&((struct daemon *)ctx)->workers);
}

/* --- what happened so far --- */

/* The log's totals add up at any moment: lines received are the sum of their outcomes, and lines found in
 * the spool plus lines spooled are the sum of theirs. */
static void log_totals(const struct daemon *d, const char *what, const char *message_id,
                       const struct stats *sum)
{
        const struct stats_spool *spool = &sum->spool;

        log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = message_id),
                  "%s: %" PRIu64 " connections; %" PRIu64 " lines: %" PRIu64 " stored, %" PRIu64
                  " duplicate, %" PRIu64 " rejected, %" PRIu64 " spooled, %" PRIu64 " empty, %" PRIu64
                  " in flight",
                  what, d->accepted, sum->lines, sum->counts[LINE_STORED], sum->counts[LINE_DUPLICATE],
                  sum->counts[LINE_REJECTED], sum->counts[LINE_SPOOLED], sum->counts[LINE_EMPTY],
                  sum->in_flight + sum->abandoned);
        if (spool->on)
                log_info("%s: spool: %" PRIu64 " lines at the start, %" PRIu64 " spooled; %" PRIu64
                         " stored, %" PRIu64 " duplicate, %" PRIu64 " rejected, %" PRIu64
                         " still spooled, %" PRIu64 " set aside",
                         what, spool->before, sum->counts[LINE_SPOOLED], sum->drained_counts[LINE_STORED],
                         sum->drained_counts[LINE_DUPLICATE], sum->drained_counts[LINE_REJECTED],
                         spool->lines, spool->lost_lines);
}

static void on_status_stats(void *ctx, struct stats *sum)
{
        log_totals(ctx, "status", NULL, sum);
}

static void log_status(struct daemon *d)
{
        workers_stats(&d->workers, STATS_COUNTS, on_status_stats, d);
}

/* --- the monitor --- */

static void on_stats(void *ctx, struct stats *sum)
{
        struct daemon *d = ctx;

        sum->rejects_file = reject_file_stats(&d->rejects);
        monitor_on_stats_take(&d->monitor, sum);
}

static void on_ask_stats(void *ctx, enum stats_detail detail)
{
        struct daemon *d = ctx;

        workers_stats(&d->workers, detail, on_stats, d);
}

static int open_monitor(struct daemon *d)
{
        static const struct monitor_ops ops = {.ask = on_ask_stats};

        return monitor_open(&d->monitor, &d->loop, d->config, &ops, d);
}

/* --- the service manager --- */

/* Called when the loops of all workers have responded. */
static void on_alive(void *ctx, struct stats *sum)
{
        struct daemon *d = ctx;

        (void)sum;
        service_alive(&d->service);
}

static void on_ask_alive(void *ctx)
{
        struct daemon *d = ctx;

        workers_stats(&d->workers, STATS_COUNTS, on_alive, d);
}

static const char *trouble_of(const struct daemon *d)
{
        return d->schema.state == SCHEMA_WRONG ? d->schema.trouble : "";
}

static void on_status_line(void *ctx, struct stats *sum)
{
        struct daemon *d = ctx;
        char text[SERVICE_STATUS_BYTES];

        status_line_write(&d->status_line, sum, trouble_of(d), d->draining, text, sizeof(text));
        service_status(&d->service, text);
}

static void on_status_timer(uv_timer_t *timer)
{
        struct daemon *d = timer->data;

        workers_stats(&d->workers, STATS_COUNTS, on_status_line, d);
}

/* The start is complete once the state of the database is known. An unavailable database, or missing tables,
 * do not fail the start: clients can connect, and wait. */
static void on_schema_change(void *ctx)
{
        struct daemon *d = ctx;

        monitor_set_trouble(&d->monitor, trouble_of(d));
        if (d->service.managed)
                uv_timer_start(&d->status, on_status_timer, 0, STATUS_LINE_MS);
        if (!d->service.ready)
                service_ready(&d->service);
}

/* --- reading the configuration again --- */

static int load_tls(struct daemon *d)
{
        char error[TLS_ERROR_BYTES];
        int err = fresh_read_tls(d->config, &d->tls, error);

        if (err)
                log_error("%s", error);
        else if (d->tls.ctx)
                workers_set_tls(&d->workers, &d->tls);
        return err;
}

/* The status page and the metrics show whether the configuration in use is the file's. */
static void note_reload(struct daemon *d, bool successful)
{
        monitor_on_configured(&d->monitor, successful, tls_server_expires_s(&d->tls),
                              tls_server_crl_expires_s(&d->tls));
}

/* A TCP socket may also have been passed by systemd, and is then not in the configuration. */
static int check_plain_tcp(const struct daemon *d, const struct config *c, const char *when)
{
        if (!listener_has_tcp(&d->listener) || d->tls.ctx || !config_restricts_users(c))
                return 0;
        log_error(
                "%sTCP without TLS admits every local user, and listen.allow_users and listen.allow_groups cannot tell "
                "them apart (set listen.tls_cert, tls_key and tls_client_ca, or do not listen on TCP)",
                when);
        return ERR_CONFIG;
}

static void use_fresh(struct daemon *d, struct fresh *f)
{
        const struct access old_access = d->access;
        char applied[CONFIG_NAMES_BYTES];
        char restart[CONFIG_NAMES_BYTES];

        config_take_over(d->config, &f->config, applied, restart);
        d->access = f->access;
        f->access = old_access;
        if (f->tls.ctx) {
                tls_server_deinit(&d->tls);
                d->tls = f->tls;
                f->tls = (struct tls_server){0};
                workers_set_tls(&d->workers, &d->tls);
        }
        log_set_level(d->config->log.level);
        process_raise_descriptor_limit(d->config);
        workers_set_config(&d->workers, d->config);
        workers_set_clients(&d->workers, d->config);
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_RELOADED),
                  "SIGHUP: configuration read again%s%s%s%s%s", applied[0] ? "; changed: " : "", applied,
                  d->tls.ctx ? "; certificates read again" : "", restart[0] ? "; needs a restart: " : "",
                  restart);
}

/* Open connections are kept; new settings apply to new connections. */
static void reload(struct daemon *d)
{
        char error[CONFIG_ERROR_BYTES];
        struct fresh fresh;
        bool successful = false;

        if (d->service.ready)
                service_reloading(&d->service);
        if (fresh_read(&fresh, d->source, d->tls.ctx != NULL, error) != 0)
                log_error("SIGHUP: %s; no setting was changed", error);
        else if (check_plain_tcp(d, &fresh.config, "SIGHUP: no setting was changed: ") == 0)
                successful = true;
        if (successful)
                use_fresh(d, &fresh);
        note_reload(d, successful);
        fresh_deinit(&fresh);
        if (d->service.ready)
                service_ready(&d->service);
}

/* --- the end --- */

static void on_rejects_closed(struct reject_file *r)
{
        (void)r;
}

/* Closes everything left after the workers have ended. The loop ends with the last handle. */
static void close_all(struct daemon *d)
{
        listener_close(&d->listener);
        unknown_lines_close(&d->unknown);
        monitor_close(&d->monitor); /* before the workers: stats it asked for may still arrive */
        workers_close(&d->workers);
        reject_file_close(&d->rejects, on_rejects_closed);
        schema_check_close(&d->schema);
        service_close(&d->service);
        uv_close((uv_handle_t *)&d->status, NULL);
        /* handles that are still open may wait for a disk or a server; a signal or the deadline still ends
         * the process */
        d->closing = true;
        signals_unref(&d->signals);
        uv_unref((uv_handle_t *)&d->deadline);
}

static void close_last(struct daemon *d)
{
        signals_close(&d->signals);
        uv_close((uv_handle_t *)&d->deadline, NULL);
}

static void on_workers_ended(void *ctx)
{
        close_all(ctx);
}

/* Everything has ended. */
static void log_stopped(const struct daemon *d)
{
        struct stats sum;

        workers_last_stats(&d->workers, &sum);
        log_totals(d, "stopped", LOG_ID_STOPPED, &sum);
}

static void exit_now(void)
{
        log_stop();
        _exit(0);
}

static void on_last_stats(void *ctx, struct stats *sum)
{
        log_totals(ctx, "stopped", LOG_ID_STOPPED, sum);
        exit_now();
}

static void on_no_stats(uv_timer_t *timer)
{
        (void)timer;
        log_warn("stopped; a worker did not respond");
        exit_now();
}

/* Handles are open and requests in flight, so no memory can be freed; the kernel does that. */
static void end_at_once(struct daemon *d, const char *why)
{
        if (d->ending_at_once)
                return;
        if (d->closing) { /* everything is settled */
                log_stopped(d);
                exit_now();
        }
        d->ending_at_once = true;
        log_warn("stopping immediately: %s; clients will resend unacked lines", why);
        uv_timer_start(&d->deadline, on_no_stats, LAST_WORDS_MS, 0);
        workers_end_at_once(&d->workers);
        workers_stats(&d->workers, STATS_COUNTS, on_last_stats, d);
}

static void on_deadline(uv_timer_t *timer)
{
        end_at_once(timer->data, "shutdown.timeout_ms has elapsed");
}

static void stop(struct daemon *d, int number)
{
        if (d->draining) {
                end_at_once(d, "a second signal");
                return;
        }
        log_info("stopping on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
        service_stopping(&d->service);
        d->draining = true;
        monitor_drain(&d->monitor);
        listener_close(&d->listener);
        unknown_lines_close(&d->unknown);
        uv_timer_start(&d->deadline, on_deadline, d->config->shutdown.timeout_ms, 0);
        workers_drain(&d->workers);
}

/* While stopping, SIGHUP is ignored; SIGUSR1 still logs the status until everything closes. */
static void on_signal(void *ctx, int number)
{
        struct daemon *d = ctx;

        if (number == SIGTERM || number == SIGINT)
                stop(d, number);
        else if (!d->draining && number == SIGHUP)
                reload(d);
        else if (!d->closing && number == SIGUSR1)
                log_status(d);
}

/* --- the beginning --- */

static void init_handles(struct daemon *d)
{
        uv_loop_t *loop = &d->loop;

        uv_timer_init(loop, &d->deadline);
        uv_timer_init(loop, &d->status);
        unknown_lines_init(&d->unknown, loop);
        d->status.data = d;
        d->deadline.data = d;
        if (signals_open(&d->signals, loop, on_signal, d) != 0)
                abort(); /* out of descriptors at the very start */
}

static int open_rejects(struct daemon *d)
{
        const struct config *c = d->config;
        const struct reject_file_limits limits = {c->rejects.max_bytes, c->rejects.keep,
                                                  c->rejects.replay_unknown};
        int err = reject_file_open(&d->rejects, &d->loop, c->rejects.file, &limits);

        if (err)
                log_error("rejects.file %s cannot be written: %s", c->rejects.file, strerror(-err));
        return err ? ERR_CONFIG : 0;
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

/* A socket passed by systemd replaces the configured one. */
static int listen_all(struct daemon *d)
{
        const struct config *c = d->config;
        char error[LISTENER_ERROR_BYTES];
        bool has_unix = false;
        bool has_tcp = false;
        int err = 0;

        if (d->passed_len < 0) {
                log_error("cannot use the sockets passed by systemd: %s", strerror(-d->passed_len));
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
        return err ? err : check_plain_tcp(d, c, "");
}

static void warn_of_password_file(const struct config *c)
{
        char why[CONFIG_ERROR_BYTES];

        if (config_check_password_file(c, why))
                log_warn("%s", why);
}

static int start(struct daemon *d)
{
        const struct config *c = d->config;
        bool url_valid = db_url_valid(c->database.url);
        int rejects_err = open_rejects(d);
        int workers_err = workers_open(&d->workers, &d->loop, c, &d->rejects, on_workers_ended, d);
        int monitor_err = open_monitor(d);
        int err = rejects_err ? rejects_err : workers_err ? workers_err : monitor_err;

        if (!url_valid) {
                log_error("%s", DB_BAD_URL);
                return ERR_CONFIG;
        }
        if (!err)
                err = read_access(d);
        if (!err)
                err = load_tls(d);
        if (!err)
                err = listen_all(d);
        if (err)
                return err;
        note_reload(d, true);
        workers_start(&d->workers);
        if (c->rejects.replay_unknown)
                unknown_lines_start(&d->unknown, c, &d->rejects, connect_myself, d);
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_STARTED),
                  "boris-ingestd " INGESTD_VERSION
                  " started: %u workers, %u writers, batches of %u rows or %zu bytes or %u ms",
                  c->daemon.workers, c->database.writers, c->batch.rows, c->batch.bytes, c->batch.linger_ms);
        return 0;
}

void daemon_prepare(void)
{
        signals_hold();
}

int daemon_run(struct config *config, const struct config_source *source)
{
        struct daemon *d = calloc(1, sizeof(*d));
        int err;

        if (d)
                /* before other descriptors get these numbers */
                d->passed_len = service_take_sockets(d->passed);
        if (!d || uv_loop_init(&d->loop) != 0) {
                log_error("cannot create an event loop: out of memory or descriptors");
                free(d);
                return 1;
        }
        signals_block(); /* before there are threads */
        d->config = config;
        d->source = source;
        signal(SIGPIPE, SIG_IGN);
        process_prepare(config);
        warn_of_password_file(config);
        init_handles(d);
        listener_init(&d->listener, &d->loop, on_connection, has_room, d);
        service_init(&d->service, &d->loop, on_ask_alive, d);
        schema_check_open(&d->schema, &d->loop, config->database.url, on_schema_change, d);
        log_start();
        err = start(d);
        if (err)
                close_all(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        close_last(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        if (!err)
                log_stopped(d);
        workers_deinit(&d->workers);
        unknown_lines_deinit(&d->unknown);
        reject_file_deinit(&d->rejects);
        monitor_deinit(&d->monitor);
        access_deinit(&d->access);
        tls_server_deinit(&d->tls);
        if (uv_loop_close(&d->loop) != 0)
                abort(); /* a handle was not closed */
        free(d);
        log_stop();
        return err ? 1 : 0;
}
