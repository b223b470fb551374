/* The life of a connection: CONNECTING runs in a worker thread (pg_attempt.h). Then the socket gets a poll
 * handle, and a first command sets the session up (durable commits above all) and checks that the database
 * fits (fits.h); then the connection is READY. A command makes it BUSY until the last result is read; COPY
 * FROM STDIN passes through COPY, while data is expected.
 *
 * After an error that tables that do not fit may have caused, VERIFY checks again before the owner gets the
 * result. A database that does not fit counts as unavailable: the connection is closed and retried every
 * second, since only a new session sees new settings.
 *
 * What can fail: the attempt (another follows after a pause that doubles, with jitter), and the connection
 * at any later moment. However the loss is noticed (poll, PQconsumeInput, PQflush, a FATAL error, silence),
 * lose() frees everything of libpq's, starts the pause and finally notifies the owner. */
#include "pg/pg_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/connect_fault.h"
#include "model/fits.h"
#include "model/pooler.h"
#include "model/session.h"
#include "pg/pg_attempt.h"
#include "pg/pg_conn_states.h"
#include "pg/pg_input.h"
#include "pg/pg_result_look.h"
#include "pg/sqlstate.h"

enum {
        PAUSE_MIN_MS = 100,
        PAUSE_MAX_MS = 10000,
        YIELD_FAILURES = 8,    /* a yielded connection waits as after this many failures: the longest pause */
        PAUSE_UNFIT_MS = 1000, /* short: an operator may be fixing it */
        ANSWER_MS = 30000,     /* how long a command in flight may neither read nor write */
};

static void start_attempt(struct pg_conn *c);
static void on_poll(uv_poll_t *poll, int status, int events);

static void on_notice(void *arg, const PGresult *res)
{
        const struct pg_conn *c = arg;

        log_debug("database, %s: %s", c->name, pg_result_message((const struct pg_result *)res));
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
        PQclear(c->answer);
        c->answer = NULL;
        c->doubt = false;
        PQfinish(c->pg);
        c->pg = NULL;
        c->flushing = false;
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct pg_conn *c = handle->data;

        pg_conn_enter(c, PG_CONN_CLOSED);
        if (c->close_cb)
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
        pg_conn_enter(c, PG_CONN_CLOSING);
        c->close_cb = cb;
        if (c->attempt)
                pg_attempt_cancel(c->attempt); /* on_attempted is called in either case */
        else
                finish_close(c);
}

/* --- is the connection usable? --- */

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
        if (c->gave_up || c->stalled)
                note_good(c);
        if (c->stalled)
                log_news_over(); /* the next stall is news again */
        c->gave_up = c->stalled = false;
}

/* --- loss and reconnecting --- */

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
        if (c->unfit[0])
                pause = PAUSE_UNFIT_MS;
        /* so that many daemons do not reconnect at the same moment */
        jitter = (uint64_t)random() % (pause / 2 + 1);
        c->failures++;
        pg_conn_enter(c, PG_CONN_WAITING);
        uv_timer_start(&c->timer, on_pause_over, pause / 2 + jitter, 0);
}

static void close_and_pause(struct pg_conn *c, const char *why)
{
        bool was_ready = pg_conn_connected(c);

        c->lost++;
        c->stalled = false;
        note_error(c, why);
        drop_connection(c);
        start_pause(c);
        if (was_ready)
                c->ops->on_lost(c->ctx);
}

/* @sqlstate: NULL if the server reported no error. One reason of several connections is logged once. */
static void log_away(const struct pg_conn *c, const char *what, const char *why, const char *sqlstate)
{
        if (log_is_news(why))
                log_event(LOG_LEVEL_WARN,
                          LOG_FIELDS(.message_id = LOG_ID_DATABASE_AWAY, .sqlstate = sqlstate),
                          "database, %s: %s%s", c->name, what, why);
}

static void lose(struct pg_conn *c, const char *why, const char *sqlstate)
{
        log_away(c, sqlstate ? "" : "connection lost: ", why, sqlstate);
        c->unfit[0] = '\0';
        close_and_pause(c, why);
}

/* The database does not fit, or it changed and the next connection must check it. Logs each reason once. */
static void lose_unfit(struct pg_conn *c, const char *why)
{
        if (strcmp(why, FITS_CHANGED) == 0) {
                log_info("database, %s: " FITS_CHANGED "; a new connection will check them", c->name);
                close_and_pause(c, why);
                return;
        }
        if (strcmp(c->unfit, why) != 0)
                log_away(c, "the database cannot be used, nothing is written: ", why, NULL);
        snprintf(c->unfit, sizeof(c->unfit), "%s", why);
        close_and_pause(c, c->unfit);
}

static void lose_with_libpq_reason(struct pg_conn *c)
{
        char why[256];

        snprintf(why, sizeof(why), "%s", PQerrorMessage(c->pg));
        lose(c, why[0] ? why : "the socket failed", NULL);
}

void pg_conn_give_up(struct pg_conn *c, const char *what, const struct pg_error *error)
{
        const char *advice = sqlstate_advice(error->sqlstate);
        char why[1024];

        snprintf(why, sizeof(why), "%s: %s (SQLSTATE %s)%s%s; retrying", what, error->message,
                 error->sqlstate, advice ? ": " : "", advice ? advice : "");
        c->gave_up = true;
        lose(c, why, error->sqlstate);
}

void pg_conn_stall(struct pg_conn *c, const char *why)
{
        if (c->stalled)
                return;
        log_away(c, "", why, NULL);
        c->stalled = true;
        note_error(c, why);
}

void pg_conn_yield(struct pg_conn *c, const char *why)
{
        c->failures = YIELD_FAILURES;
        pg_conn_drop(c, why);
}

void pg_conn_hurry(struct pg_conn *c)
{
        if (c->state == PG_CONN_WAITING)
                uv_timer_start(&c->timer, on_pause_over, 0, 0);
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

/* A libpq call that the owner made failed: reports it from the loop, not inside the owner's call. */
static void lose_soon(struct pg_conn *c)
{
        uv_timer_start(&c->timer, on_broken, 0, 0);
}

static void on_silence(uv_timer_t *timer)
{
        struct pg_conn *c = timer->data;

        if (c->state == PG_CONN_SETUP || c->state == PG_CONN_BUSY || c->state == PG_CONN_COPY ||
            c->state == PG_CONN_VERIFY)
                lose(c, "no answer for 30 s", NULL);
}

static void await_answer(struct pg_conn *c)
{
        uv_timer_start(&c->timer, on_silence, ANSWER_MS, 0);
}

/* --- connecting --- */

static void on_attempt_failed(struct pg_conn *c, const char *error)
{
        const char *advice = connect_advice(error);

        if (log_is_news(error)) /* one line for all connections, and another one each minute */
                log_event(LOG_LEVEL_WARN, LOG_FIELDS(.message_id = LOG_ID_DATABASE_AWAY),
                          "database: cannot connect: %s (%s)", error,
                          advice ? advice
                                 : "check database.url or $DATABASE_URL, and whether the server runs");
        c->connect_failures++;
        c->unfit[0] = '\0';
        note_error(c, error);
        start_pause(c);
}

static bool watch_socket(struct pg_conn *c)
{
        c->poll = must_malloc(sizeof(*c->poll));
        if (uv_poll_init(c->loop, c->poll, PQsocket(c->pg)) != 0) {
                free(c->poll);
                c->poll = NULL;
                return false;
        }
        c->poll->data = c;
        return uv_poll_start(c->poll, UV_READABLE, on_poll) == 0;
}

static const char *prepare_sql(const struct pg_conn *c, int i)
{
        return c->ops->prepare_sql[i] ? c->ops->prepare_sql[i] : "";
}

/* Sets the session up and checks the database, in one round trip. */
static bool send_setup(struct pg_conn *c)
{
        char *sql;
        bool sent;

        if (asprintf(&sql, "%s%s; %s%s", session_daemon_sql, fits_prepare_sql, prepare_sql(c, 0),
                     prepare_sql(c, 1)) < 0)
                abort();
        sent = PQsendQuery(c->pg, sql) && PQflush(c->pg) >= 0;
        free(sql);
        return sent;
}

static void on_attempted(void *ctx, struct pg_attempt *attempt)
{
        struct pg_conn *c = ctx;

        c->attempt = NULL;
        if (c->state == PG_CONN_CLOSING) {
                finish_close(c);
                return;
        }
        if (attempt->outcome == SESSION_FAILED || attempt->outcome == SESSION_SILENT) {
                on_attempt_failed(c, pg_attempt_error(attempt));
                return;
        }
        c->last = attempt->last;
        c->pg = attempt->pg;
        attempt->pg = NULL;
        PQsetNoticeReceiver(c->pg, on_notice, c);
        pg_conn_enter(c, PG_CONN_SETUP);
        await_answer(c);
        if (attempt->outcome == SESSION_MOVED)
                lose_unfit(c, POOLER_MOVES);
        else if (PQsetnonblocking(c->pg, 1) != 0 || !watch_socket(c) || !send_setup(c))
                lose_soon(c);
}

static void start_attempt(struct pg_conn *c)
{
        pg_conn_enter(c, PG_CONN_CONNECTING);
        c->attempt = pg_attempt_start(c->loop, c->url, &c->last, on_attempted, c);
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

/* --- checking whether the database fits --- */

/* Takes over @res, the result of a check. Returns true if the database fits; else the connection is lost. */
static bool judge_look_take(struct pg_conn *c, PGresult *res)
{
        bool fits = !pg_result_sqlstate((struct pg_result *)res);
        char why[FITS_TEXT_BYTES];

        if (!fits && !pg_result_unfit((struct pg_result *)res, why))
                pg_result_describe_look((struct pg_result *)res, why);
        PQclear(res);
        if (!fits)
                lose_unfit(c, why);
        return fits;
}

/* Handles the result of setting up the session and of the first check. */
static void on_setup(struct pg_conn *c, PGresult *res)
{
        if (!judge_look_take(c, res))
                return;
        if (c->failures > 0)
                log_news_over();
        if (c->failures > 0)
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_DATABASE_BACK),
                          "database, %s: connected", c->name);
        if (c->unfit[0])
                c->failures = 0; /* not a failure of the server */
        c->unfit[0] = '\0';
        c->connects++;
        if (!c->gave_up)
                note_good(c);
        pg_conn_enter(c, PG_CONN_READY);
        c->ops->on_ready(c->ctx);
}

static void deliver_take(struct pg_conn *c, PGresult *res)
{
        pg_conn_enter(c, PG_CONN_READY);
        c->ops->on_result(c->ctx, (const struct pg_result *)res);
        PQclear(res);
}

static void end_command(struct pg_conn *c, int sent);

/* Takes over the result of the owner's command. In a failed transaction a check must wait until the
 * transaction ends. */
static void on_answer_take(struct pg_conn *c, PGresult *res)
{
        char why[FITS_TEXT_BYTES];

        if (pg_result_unfit((struct pg_result *)res, why)) {
                PQclear(res);
                lose_unfit(c, why);
                return;
        }
        c->doubt |= pg_result_doubtful((struct pg_result *)res);
        if (!c->doubt || PQtransactionStatus(c->pg) != PQTRANS_IDLE) {
                deliver_take(c, res);
                return;
        }
        c->doubt = false;
        c->answer = res;
        pg_conn_enter(c, PG_CONN_VERIFY);
        end_command(c, PQsendQuery(c->pg, FITS_LOOK_SQL));
}

static void on_verified(struct pg_conn *c, PGresult *res)
{
        PGresult *answer;

        if (!judge_look_take(c, res))
                return;
        answer = c->answer;
        c->answer = NULL;
        deliver_take(c, answer);
}

/* --- commands --- */

static void update_poll(struct pg_conn *c)
{
        if (uv_poll_start(c->poll, UV_READABLE | (c->flushing ? UV_WRITABLE : 0), on_poll) != 0)
                lose_soon(c);
}

/* Sends libpq's buffered output. Returns false if the connection broke. */
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

                snprintf(why, sizeof(why), "%s", PQresultErrorMessage(res));
                PQclear(res);
                lose(c, why, NULL);
                return;
        }
        if (c->state == PG_CONN_SETUP)
                on_setup(c, res);
        else if (c->state == PG_CONN_VERIFY)
                on_verified(c, res);
        else
                on_answer_take(c, res);
}

/* Keeps the first error of a command's results, else the last result. */
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
                        pg_conn_enter(c, PG_CONN_COPY);
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
        /* flushing may also read, and leave input behind */
        if (status < 0 || ((events & UV_READABLE) && !pg_input_read(c->pg)) || !flush(c) ||
            (was_flushing && !pg_input_read(c->pg))) {
                lose_with_libpq_reason(c);
                return;
        }
        await_answer(c);
        if (c->state == PG_CONN_BUSY || c->state == PG_CONN_SETUP || c->state == PG_CONN_VERIFY)
                read_results(c);
        else if (c->state == PG_CONN_COPY && was_flushing && !c->flushing)
                c->ops->on_writable(c->ctx);
        else if (c->state == PG_CONN_READY)
                (void)PQisBusy(c->pg); /* read unsolicited messages, so that they do not pile up */
}

static void begin_command(struct pg_conn *c)
{
        assert(c->state == PG_CONN_READY);
        pg_conn_enter(c, PG_CONN_BUSY);
        await_answer(c);
}

static void end_command(struct pg_conn *c, int sent)
{
        if (!sent || !flush(c))
                lose_soon(c);
}

static const int binary[PG_PARAMS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

void pg_conn_query(struct pg_conn *c, const char *sql, const struct pg_params *params)
{
        static const struct pg_params none;
        const struct pg_params *p = params ? params : &none;

        begin_command(c);
        end_command(c, PQsendQueryParams(c->pg, sql, p->len, NULL, p->values, p->bytes, binary, 1));
}

void pg_conn_execute(struct pg_conn *c, const char *prepared, const struct pg_params *params)
{
        begin_command(c);
        end_command(c, PQsendQueryPrepared(c->pg, prepared, params->len, params->values, params->bytes,
                                           binary, 1));
}

void pg_conn_command(struct pg_conn *c, const char *sql)
{
        begin_command(c);
        end_command(c, PQsendQuery(c->pg, sql));
}

bool pg_conn_put(struct pg_conn *c, const void *data, size_t len)
{
        assert(c->state == PG_CONN_COPY);
        if (PQputCopyData(c->pg, data, (int)len) <= 0 || /* 0: out of memory */
            !flush(c)) {
                lose_soon(c);
                return false;
        }
        return !c->flushing;
}

/* A server that refuses the rows says so in the middle of the COPY and sends nothing at its end. libpq may
 * have read that message while sending, and then the socket has no event for it. */
static void on_copy_ended(uv_timer_t *timer)
{
        struct pg_conn *c = timer->data;

        await_answer(c);
        if (c->state != PG_CONN_BUSY)
                return;
        if (pg_input_read(c->pg))
                read_results(c);
        else
                lose_with_libpq_reason(c);
}

void pg_conn_put_last(struct pg_conn *c, const void *data, size_t len)
{
        assert(c->state == PG_CONN_COPY);
        pg_conn_enter(c, PG_CONN_BUSY);
        if (PQputCopyData(c->pg, data, (int)len) <= 0 || /* 0: out of memory */
            PQputCopyEnd(c->pg, NULL) <= 0 || !flush(c))
                lose_soon(c);
        else
                uv_timer_start(&c->timer, on_copy_ended, 0, 0);
}
