/* A connection's life: CONNECTING runs PQconnectdbParams in a worker thread, since looking up host names, TLS
 * and authentication may all block; then the socket gets a poll handle and a first command sets the session
 * up (durable commits above all) and finds out whether the server takes writes; then it is READY. A command
 * makes it BUSY until its last result was read; COPY FROM STDIN goes through COPY, where data is awaited.
 *
 * What can fail: the attempt (another one follows, after a pause that doubles, with jitter), and the
 * connection at any later moment. Whatever tells of it (the poll, PQconsumeInput, PQflush, a FATAL error)
 * ends in lose(), which gives everything of libpq's back, starts the pause and tells the owner, last. */
#include "pg/pg_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <endian.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "model/db.h"
#include "pg/sqlstate.h"

enum {
        PAUSE_MIN_MS = 100,
        PAUSE_MAX_MS = 10000,
};

/* synchronous_commit = off would make acks a lie; stricter settings than "on" are left alone. A daemon that
 * stands still, or whose machine is gone, must not hold its locks for ever: others wait for them. */
static const char setup_sql[] =
        "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
        "WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false), "
        "set_config('statement_timeout', '0', false), "
        "set_config('idle_session_timeout', '0', false), "
        "set_config('idle_in_transaction_session_timeout', CASE current_setting('idle_in_transaction_session_timeout') "
        "WHEN '0' THEN '60s' ELSE current_setting('idle_in_transaction_session_timeout') END, false), "
        "set_config('tcp_keepalives_idle', '30', false), "
        "set_config('tcp_keepalives_interval', '10', false), "
        "set_config('tcp_keepalives_count', '3', false), "
        "set_config('jit', 'off', false), "
        "current_setting('transaction_read_only'), "
        "getdatabaseencoding()";

enum setup_column { SETUP_READ_ONLY = 8, SETUP_ENCODING = 9 };

struct connect_attempt {
        char *url;
        PGconn *pg;
};

static void start_attempt(struct pg_conn *c);
static void on_poll(uv_poll_t *poll, int status, int events);

static void on_notice(void *arg, const char *message)
{
        const struct pg_conn *c = arg;

        log_debug("database, %s: %s", c->name, message);
}

/* --- closing --- */

static void on_poll_closed(uv_handle_t *handle)
{
        free(handle);
}

static void drop_connection(struct pg_conn *c)
{
        if (c->poll) {
                uv_poll_stop(c->poll);
                c->poll->data = NULL;
                uv_close((uv_handle_t *)c->poll, on_poll_closed);
                c->poll = NULL;
        }
        PQclear(c->result);
        c->result = NULL;
        PQfinish(c->pg);
        c->pg = NULL;
        c->flushing = false;
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct pg_conn *c = handle->data;

        c->state = PG_CONN_CLOSED;
        c->close_cb(c);
}

static void finish_close(struct pg_conn *c)
{
        drop_connection(c);
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

void pg_conn_close(struct pg_conn *c, void (*cb)(struct pg_conn *))
{
        assert(c->state != PG_CONN_CLOSING && c->state != PG_CONN_CLOSED);
        c->state = PG_CONN_CLOSING;
        c->close_cb = cb;
        if (c->attempt)
                uv_cancel((uv_req_t *)&c->work); /* on_attempted comes in either case */
        else
                finish_close(c);
}

/* --- whether it is any good --- */

static void note_away(struct pg_conn *c)
{
        if (c->away_us == 0)
                c->away_us = clock_monotonic_us();
}

static void note_error(struct pg_conn *c, const char *error)
{
        snprintf(c->error, sizeof(c->error), "%.*s", (int)strcspn(error, "\n"), error);
        note_away(c);
}

static void note_good(struct pg_conn *c)
{
        c->away_us = 0;
        c->error[0] = '\0';
}

void pg_conn_served(struct pg_conn *c)
{
        c->failures = 0;
        if (c->gave_up)
                note_good(c);
        c->gave_up = false;
}

/* --- losing and trying again --- */

static void on_pause_over(uv_timer_t *timer)
{
        start_attempt(timer->data);
}

static void start_pause(struct pg_conn *c)
{
        unsigned doublings = c->failures < 8 ? c->failures : 8;
        uint64_t pause = (uint64_t)PAUSE_MIN_MS << doublings;
        uint64_t jitter;

        if (pause > PAUSE_MAX_MS)
                pause = PAUSE_MAX_MS;
        jitter = (uint64_t)random() % (pause / 2 + 1); /* so that many daemons do not come back at once */
        c->failures++;
        c->state = PG_CONN_WAITING;
        uv_timer_start(&c->timer, on_pause_over, pause / 2 + jitter, 0);
}

/* @sqlstate: NULL where it is no error of the server's. */
static void lose(struct pg_conn *c, const char *why, const char *sqlstate)
{
        log_event(LOG_LEVEL_WARN, LOG_FIELDS(.message_id = LOG_ID_DATABASE_AWAY, .sqlstate = sqlstate),
                  "database, %s: connection lost: %s", c->name, why);
        c->lost++;
        note_error(c, why);
        drop_connection(c);
        start_pause(c);
        c->ops->on_lost(c->ctx);
}

static void lose_with_libpq_reason(struct pg_conn *c)
{
        char why[256];

        strncpy(why, PQerrorMessage(c->pg), sizeof(why) - 1);
        why[sizeof(why) - 1] = '\0';
        lose(c, why[0] ? why : "the socket failed", NULL);
}

void pg_conn_give_up(struct pg_conn *c, const char *what, const struct pg_error *error)
{
        const char *advice = sqlstate_advice(error->sqlstate);
        char why[1024];

        snprintf(why, sizeof(why), "%s: %s (SQLSTATE %s)%s%s; it is tried again", what, error->message,
                 error->sqlstate, advice ? ": " : "", advice ? advice : "");
        c->gave_up = true;
        lose(c, why, error->sqlstate);
}

void pg_conn_drop(struct pg_conn *c, const char *why)
{
        if (c->pg && !c->attempt)
                lose(c, why, NULL);
}

static void on_broken(uv_timer_t *timer)
{
        lose_with_libpq_reason(timer->data);
}

/* A libpq call made by the owner failed: tell it from the loop, not from inside its call. */
static void lose_soon(struct pg_conn *c)
{
        uv_timer_start(&c->timer, on_broken, 0, 0);
}

/* --- connecting --- */

static void on_attempt(uv_work_t *work)
{
        struct connect_attempt *attempt = ((struct pg_conn *)work->data)->attempt;
        /* What stands before dbname is a default that the URL may replace. */
        static const char *const keywords[] = {
                "connect_timeout",  "keepalives_idle",  "keepalives_interval",
                "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                "dbname",           "client_encoding",  NULL};
        const char *values[] = {"10", "30", "10", "3", "30000", "boris-ingestd", attempt->url, "UTF8", NULL};

        if (db_url_valid(attempt->url))
                attempt->pg = PQconnectdbParams(keywords, values, 1);
}

static void on_attempt_failed(struct pg_conn *c)
{
        const struct connect_attempt *attempt = c->attempt;
        const char *error = attempt->pg ? PQerrorMessage(attempt->pg) : DB_BAD_URL;

        if ((c->failures & (c->failures - 1)) == 0) /* the first, second, fourth, eighth … time */
                log_event(LOG_LEVEL_WARN, LOG_FIELDS(.message_id = LOG_ID_DATABASE_AWAY),
                          "database, %s: cannot connect (attempt %u): %s", c->name, c->failures + 1, error);
        c->connect_failures++;
        note_error(c, error);
        PQfinish(attempt->pg);
        start_pause(c);
}

static bool watch_socket(struct pg_conn *c)
{
        c->poll = malloc(sizeof(*c->poll));
        if (!c->poll)
                abort();
        if (uv_poll_init(c->loop, c->poll, PQsocket(c->pg)) != 0) {
                free(c->poll);
                c->poll = NULL;
                return false;
        }
        c->poll->data = c;
        return uv_poll_start(c->poll, UV_READABLE, on_poll) == 0;
}

static void on_attempted(uv_work_t *work, int status)
{
        struct pg_conn *c = work->data;
        struct connect_attempt *attempt = c->attempt;

        if (c->state == PG_CONN_CLOSING) {
                PQfinish(attempt->pg);
                finish_close(c);
        } else if (status != 0 || PQstatus(attempt->pg) != CONNECTION_OK) {
                on_attempt_failed(c);
        } else {
                c->pg = attempt->pg;
                PQsetNoticeProcessor(c->pg, on_notice, c);
                c->state = PG_CONN_SETUP;
                if (PQsetnonblocking(c->pg, 1) != 0 || !watch_socket(c) || !PQsendQuery(c->pg, setup_sql) ||
                    PQflush(c->pg) < 0)
                        lose_soon(c);
        }
        c->attempt = NULL;
        free(attempt->url);
        free(attempt);
}

static void start_attempt(struct pg_conn *c)
{
        struct connect_attempt *attempt = calloc(1, sizeof(*attempt));

        if (!attempt || !(attempt->url = strdup(c->url)))
                abort();
        c->attempt = attempt;
        c->state = PG_CONN_CONNECTING;
        c->work.data = c;
        if (uv_queue_work(c->loop, &c->work, on_attempt, on_attempted) != 0)
                abort(); /* only for a missing work function */
}

void pg_conn_open(struct pg_conn *c, uv_loop_t *loop, const char *url, const char *name,
                  const struct pg_conn_ops *ops, void *ctx)
{
        *c = (struct pg_conn){.loop = loop, .url = url, .name = name, .ops = ops, .ctx = ctx};
        uv_timer_init(loop, &c->timer);
        c->timer.data = c;
        note_away(c);
        start_attempt(c);
}

/* The set-up command's answer is here. */
static void on_setup(struct pg_conn *c, PGresult *res)
{
        const char *why = NULL;

        if (PQresultStatus(res) != PGRES_TUPLES_OK)
                why = "the session could not be set up";
        else if (strcmp(PQgetvalue(res, 0, SETUP_READ_ONLY), "off") != 0)
                why = "the server is read-only (a standby?)";
        else if (strcmp(PQgetvalue(res, 0, SETUP_ENCODING), "UTF8") != 0)
                why = "the database's encoding is not UTF8";
        PQclear(res);
        if (why) {
                lose(c, why, NULL);
                return;
        }
        if (c->failures > 0)
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_DATABASE_BACK),
                          "database, %s: connected", c->name);
        c->connects++;
        if (!c->gave_up)
                note_good(c);
        c->state = PG_CONN_READY;
        c->ops->on_ready(c->ctx);
}

/* --- commands --- */

static void update_poll(struct pg_conn *c)
{
        if (uv_poll_start(c->poll, UV_READABLE | (c->flushing ? UV_WRITABLE : 0), on_poll) != 0)
                lose_soon(c);
}

/* Sends what libpq holds. Returns false where the connection broke. */
static bool flush(struct pg_conn *c)
{
        int left = PQflush(c->pg);

        if (left < 0)
                return false;
        if (c->flushing != (left > 0)) {
                c->flushing = left > 0;
                update_poll(c);
        }
        return true;
}

static bool is_fatal(const PGresult *res)
{
        const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

        return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

static void on_command_over(struct pg_conn *c)
{
        PGresult *res = c->result;

        c->result = NULL;
        if (PQstatus(c->pg) != CONNECTION_OK || is_fatal(res)) {
                char why[256];

                strncpy(why, PQresultErrorMessage(res), sizeof(why) - 1);
                why[sizeof(why) - 1] = '\0';
                PQclear(res);
                lose(c, why, NULL);
                return;
        }
        if (c->state == PG_CONN_SETUP) {
                on_setup(c, res);
                return;
        }
        c->state = PG_CONN_READY;
        c->ops->on_result(c->ctx, (const struct pg_result *)res);
        PQclear(res);
}

/* Of a command's results the first error is kept, else the last one. */
static void keep_result(struct pg_conn *c, PGresult *res)
{
        if (c->result && PQresultStatus(c->result) == PGRES_FATAL_ERROR) {
                PQclear(res);
                return;
        }
        PQclear(c->result);
        c->result = res;
}

static void read_results(struct pg_conn *c)
{
        while (!PQisBusy(c->pg)) {
                PGresult *res = PQgetResult(c->pg);

                if (!res) {
                        on_command_over(c);
                        return;
                }
                if (PQresultStatus(res) == PGRES_COPY_IN) {
                        PQclear(res);
                        c->state = PG_CONN_COPY;
                        c->ops->on_copy_in(c->ctx);
                        return;
                }
                keep_result(c, res);
        }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        struct pg_conn *c = poll->data;
        bool was_flushing;

        if (!c)
                return;
        was_flushing = c->flushing;
        if (status < 0 || ((events & UV_READABLE) && !PQconsumeInput(c->pg)) || !flush(c)) {
                lose_with_libpq_reason(c);
                return;
        }
        if (c->state == PG_CONN_BUSY || c->state == PG_CONN_SETUP)
                read_results(c);
        else if (c->state == PG_CONN_COPY && was_flushing && !c->flushing)
                c->ops->on_writable(c->ctx);
        else if (c->state == PG_CONN_READY)
                (void)PQisBusy(
                        c->pg); /* takes in what the server says unasked, so that it does not pile up */
}

void pg_conn_query(struct pg_conn *c, const char *sql, int params_len, const char *const *params,
                   const int *params_bytes)
{
        int formats[16];

        assert(c->state == PG_CONN_READY && params_len <= 16);
        for (int i = 0; i < params_len; i++)
                formats[i] = 1;
        c->state = PG_CONN_BUSY;
        if (!PQsendQueryParams(c->pg, sql, params_len, NULL, params, params_bytes, formats, 1) || !flush(c))
                lose_soon(c);
}

void pg_conn_command(struct pg_conn *c, const char *sql)
{
        assert(c->state == PG_CONN_READY);
        c->state = PG_CONN_BUSY;
        if (!PQsendQuery(c->pg, sql) || !flush(c))
                lose_soon(c);
}

bool pg_conn_put(struct pg_conn *c, const void *data, size_t len)
{
        assert(c->state == PG_CONN_COPY);
        if (PQputCopyData(c->pg, data, (int)len) <= 0 || /* 0: no memory */
            !flush(c)) {
                lose_soon(c);
                return false;
        }
        return !c->flushing;
}

/* A server that does not want the rows says so in the middle, and nothing more at their end. libpq may have
 * read that already, while it was sending: then no event of the socket will tell of it. */
static void on_copy_ended(uv_timer_t *timer)
{
        struct pg_conn *c = timer->data;

        if (c->state == PG_CONN_BUSY)
                read_results(c);
}

void pg_conn_copy_end(struct pg_conn *c)
{
        assert(c->state == PG_CONN_COPY);
        c->state = PG_CONN_BUSY;
        if (PQputCopyEnd(c->pg, NULL) <= 0 || !flush(c))
                lose_soon(c);
        else
                uv_timer_start(&c->timer, on_copy_ended, 0, 0);
}

/* --- results --- */

static const PGresult *pg(const struct pg_result *res)
{
        return (const PGresult *)res;
}

const char *pg_result_sqlstate(const struct pg_result *res)
{
        ExecStatusType status = PQresultStatus(pg(res));
        const char *sqlstate;

        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
                return NULL;
        sqlstate = PQresultErrorField(pg(res), PG_DIAG_SQLSTATE);
        return sqlstate ? sqlstate : "XX000";
}

const char *pg_result_message(const struct pg_result *res)
{
        const char *message = PQresultErrorField(pg(res), PG_DIAG_MESSAGE_PRIMARY);

        return message ? message : "";
}

const char *pg_result_context(const struct pg_result *res)
{
        const char *context = PQresultErrorField(pg(res), PG_DIAG_CONTEXT);

        return context ? context : "";
}

struct pg_error pg_result_error(const struct pg_result *res)
{
        struct pg_error error;

        snprintf(error.sqlstate, sizeof(error.sqlstate), "%s", pg_result_sqlstate(res));
        utf8_excerpt(slice_str(pg_result_message(res)), error.message, sizeof(error.message));
        return error;
}

int64_t pg_result_affected(const struct pg_result *res)
{
        const char *text = PQcmdTuples((PGresult *)(uintptr_t)res);

        return text[0] ? strtoll(text, NULL, 10) : -1;
}

int pg_result_rows(const struct pg_result *res)
{
        return PQntuples(pg(res));
}

bool pg_result_null(const struct pg_result *res, int row, int column)
{
        return PQgetisnull(pg(res), row, column);
}

/* What a server sends may be of any size, whatever was asked for. */
static void read_fixed(const struct pg_result *res, int row, int column, void *value, size_t len)
{
        if (column < PQnfields(pg(res)) && row < PQntuples(pg(res)) &&
            (size_t)PQgetlength(pg(res), row, column) == len)
                memcpy(value, PQgetvalue(pg(res), row, column), len);
}

bool pg_result_bool(const struct pg_result *res, int row, int column)
{
        char value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return value != 0;
}

int32_t pg_result_i32(const struct pg_result *res, int row, int column)
{
        uint32_t value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return (int32_t)be32toh(value);
}

int64_t pg_result_i64(const struct pg_result *res, int row, int column)
{
        uint64_t value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return (int64_t)be64toh(value);
}

struct uuid pg_result_uuid(const struct pg_result *res, int row, int column)
{
        struct uuid uuid = {0};

        read_fixed(res, row, column, uuid.bytes, sizeof(uuid.bytes));
        return uuid;
}

struct slice pg_result_text(const struct pg_result *res, int row, int column)
{
        return (struct slice){PQgetvalue(pg(res), row, column), (size_t)PQgetlength(pg(res), row, column)};
}
