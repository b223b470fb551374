#ifndef PG_CONN_H
#define PG_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "model/session_host.h"
#include "pg/pg_params.h"
#include "pg/sqlstate.h"

/* One database connection on the event loop. It connects by itself, retries with growing pauses, runs one
 * command at a time, and reports its loss. */

enum { PG_CONN_ERROR_BYTES = 512 };

struct pg_conn;
struct pg_result;

struct pg_conn_ops {
        /* Connected, set up, and the database fits: a command may be started. */
        void (*on_ready)(void *ctx);
        /* The server waits for COPY data: pg_conn_put may be called. */
        void (*on_copy_in)(void *ctx);
        /* Unsent data of pg_conn_put has been sent; it may be called again. */
        void (*on_writable)(void *ctx);
        /* The command has ended. @res is borrowed for the call; the callback may start the next command. */
        void (*on_result)(void *ctx, const struct pg_result *res);
        /* The connection is lost; the outcome of a command in flight is unknown. Called once after each
         * on_ready, which follows again. */
        void (*on_lost)(void *ctx);
        /* Commands that prepare the owner's statements in each new session that fits, one string after the other.
         * NULL: none. */
        const char *prepare_sql[2];
};

enum pg_conn_state {
        PG_CONN_CLOSED,
        PG_CONN_CONNECTING, /* in a worker thread, since name look-up and authentication block */
        PG_CONN_SETUP,      /* connected; sets the session up and checks that the database fits */
        PG_CONN_WAITING,    /* until the next attempt */
        PG_CONN_READY,
        PG_CONN_BUSY,   /* a command is in flight */
        PG_CONN_COPY,   /* waiting for COPY data */
        PG_CONN_VERIFY, /* the result is an error; checks once more that the database fits */
        PG_CONN_CLOSING,
        PG_CONN_STATES,
};

struct pg_conn {
        uv_loop_t *loop;
        const char *url;  /* borrowed */
        const char *name; /* for the log, borrowed: "writer 1" */
        const struct pg_conn_ops *ops;
        void *ctx;
        enum pg_conn_state state;
        void *pg;                 /* PGconn */
        uv_poll_t *poll;          /* on the connection's socket; freed by its close callback */
        uv_timer_t timer;         /* in state WAITING */
        void *attempt;            /* struct pg_attempt, in state CONNECTING */
        struct session_host last; /* that it was connected to */
        void *result;             /* PGresult of the command in flight, so far */
        void *answer;             /* PGresult of the owner's command, in state VERIFY */
        unsigned failures;        /* consecutive failures */
        bool flushing;
        bool doubt;        /* check the database as soon as no transaction is open */
        bool gave_up;      /* the owner gave up after an error, and the connection has not served since */
        bool stalled;      /* pg_conn_stall was called, and the connection has not served since */
        uint64_t away_us;  /* clock_monotonic_us at which it became unusable; 0: usable */
        uint64_t connects; /* since the start, as the following counters */
        uint64_t connect_failures;
        uint64_t lost;
        /* first line of the last error; "" if the connection has worked since */
        char error[PG_CONN_ERROR_BYTES];
        /* why an established connection was unusable: what does not fit, and what to do; "" for any other
         * reason */
        char unfit[PG_CONN_ERROR_BYTES];
        void (*close_cb)(struct pg_conn *);
};

/* Starts connecting to @url (libpq conninfo or URL, "" for libpq's defaults). */
void pg_conn_open(struct pg_conn *c, uv_loop_t *loop, const char *url, const char *name,
                  const struct pg_conn_ops *ops, void *ctx);

/* Closes the connection without cancelling its command on the server. The only callback afterwards is @cb (may be NULL);
 * then @c may be freed. */
void pg_conn_close(struct pg_conn *c, void (*cb)(struct pg_conn *));

/* Drops the connection because of the failed command @what, as if the server had closed it: on_lost follows,
 * then a new attempt after a failure's pause. Logs the database's error and what to do. */
void pg_conn_give_up(struct pg_conn *c, const char *what, const struct pg_error *error);

/* As pg_conn_give_up, without an error of the database: it does not answer, or the connection is not needed.
 * Does nothing if there is no connection. */
void pg_conn_drop(struct pg_conn *c, const char *why);

/* The same, to leave the server's place to another connection: the next attempt is delayed. */
void pg_conn_yield(struct pg_conn *c, const char *why);

/* Makes the next attempt to connect now, if one is scheduled. */
void pg_conn_hurry(struct pg_conn *c);

/* The connection stays, but its work does not go on: it is not good until pg_conn_served, or a new connection. @why is for
 * the log and the status, and without secrets. Nothing happens if the connection is stalled already. */
void pg_conn_stall(struct pg_conn *c, const char *why);

/* Call this when work succeeded on the connection: it is good, and pauses are short again. Needed after pg_conn_give_up
 * and pg_conn_stall only, since the first commands of a new connection always succeed. */
void pg_conn_served(struct pg_conn *c);

/* True if a command may be started. */
static inline bool pg_conn_ready(const struct pg_conn *c)
{
        return c->state == PG_CONN_READY;
}

/* True if the connection is set up and not known to be lost. */
static inline bool pg_conn_connected(const struct pg_conn *c)
{
        return c->state == PG_CONN_READY || c->state == PG_CONN_BUSY || c->state == PG_CONN_COPY ||
               c->state == PG_CONN_VERIFY;
}

/* True if the connection worked when it was last used. */
static inline bool pg_conn_good(const struct pg_conn *c)
{
        return c->away_us == 0;
}

/* Starts a command with binary results; requires pg_conn_ready. Copies the parameters; NULL: none. Failures
 * are reported by on_lost, from the loop. */
void pg_conn_query(struct pg_conn *c, const char *sql, const struct pg_params *params);

/* The same for a statement that prepare_sql has prepared. */
void pg_conn_execute(struct pg_conn *c, const char *prepared, const struct pg_params *params);

/* Starts one or more commands without parameters; the first error ends them. For COPY ... FROM STDIN,
 * on_copy_in is called first. */
void pg_conn_command(struct pg_conn *c, const char *sql);

/* Sends COPY data. Returns false if the caller must wait for on_writable before the next call; these bytes
 * are accepted in either case. */
bool pg_conn_put(struct pg_conn *c, const void *data, size_t len);

/* Sends the last of the COPY data together with its end, so that a small COPY wakes the server once; on_result
 * follows. */
void pg_conn_put_last(struct pg_conn *c, const void *data, size_t len);

/* --- results --- */

/* Returns NULL if the command succeeded, else its five-letter SQLSTATE. */
const char *pg_result_sqlstate(const struct pg_result *res);
/* First line of the error or notice, for the log. Replaced by a fixed text if it may quote a line: for data
 * errors, and for whatever a function raises. */
const char *pg_result_message(const struct pg_result *res);
/* Where the error occurred: the stack of functions, and the row of a COPY; "" for none. */
const char *pg_result_context(const struct pg_result *res);
/* SQLSTATE and messages of a result with an error; cuts long messages. */
struct pg_error pg_result_error(const struct pg_result *res);

/* Number of rows the command wrote; -1 if the answer does not contain it. */
int64_t pg_result_affected(const struct pg_result *res);

int pg_result_rows(const struct pg_result *res);
/* Fixed-size values; a missing value, or one of another size, reads as 0. */
bool pg_result_null(const struct pg_result *res, int row, int column);
bool pg_result_bool(const struct pg_result *res, int row, int column);
int32_t pg_result_i32(const struct pg_result *res, int row, int column);
int64_t pg_result_i64(const struct pg_result *res, int row, int column);
struct uuid pg_result_uuid(const struct pg_result *res, int row, int column);
/* Points into @res. */
struct slice pg_result_text(const struct pg_result *res, int row, int column);

#endif
