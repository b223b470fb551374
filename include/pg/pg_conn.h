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
#include "pg/sqlstate.h"

/* One connection to PostgreSQL, joined to the loop: it connects by itself, again and again with growing
 * pauses, runs one command at a time, and says when the connection was lost. */

enum { PG_CONN_ERROR_BYTES = 512 };

struct pg_conn;
struct pg_result;

struct pg_conn_ops {
        /* Connected, set up, and the database fits; a command may be started. */
        void (*on_ready)(void *ctx);
        /* The server waits for COPY data: pg_conn_put may be called. */
        void (*on_copy_in)(void *ctx);
        /* What pg_conn_put had to leave was sent; it may be called again. */
        void (*on_writable)(void *ctx);
        /* The command is over. @res is borrowed for the call; the next command may be started in it. */
        void (*on_result)(void *ctx, const struct pg_result *res);
        /* The connection is gone; the outcome of a command in flight is unknown. Comes once behind each on_ready, which
         * will come again. */
        void (*on_lost)(void *ctx);
        /* For an owner that decides by what it reads: each result is handed over only when the database
         * still fits after it. */
        bool verify_answers;
        /* Prepares statements of the owner's, in each new session; runs whether or not the database fits. NULL: none. */
        const char *prepare_sql;
};

enum pg_conn_state {
        PG_CONN_CLOSED,
        PG_CONN_CONNECTING, /* in a worker thread: looking up names and greeting take their time */
        PG_CONN_SETUP,      /* connected, the session is being set up, and the database looked at */
        PG_CONN_WAITING,    /* for the time of the next attempt */
        PG_CONN_READY,
        PG_CONN_BUSY,   /* a command is in flight */
        PG_CONN_COPY,   /* its COPY data is awaited */
        PG_CONN_VERIFY, /* its result is here, and the database is looked at once more */
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
        uv_poll_t *poll;          /* on its socket; freed by its close callback */
        uv_timer_t timer;         /* of WAITING */
        void *attempt;            /* struct pg_attempt, of CONNECTING */
        struct session_host last; /* that it was connected to */
        void *result;             /* PGresult of the command so far */
        void *answer;             /* PGresult of the owner's command, in VERIFY */
        unsigned failures;        /* in a row */
        bool flushing;
        bool doubt;        /* a look is due as soon as no transaction is open */
        bool gave_up;      /* its owner did, over an error, and it has not served since */
        uint64_t away_us;  /* clock_monotonic_us since which it is no good; 0: it is */
        uint64_t connects; /* since the start; so are these: */
        uint64_t connect_failures;
        uint64_t lost;
        char error[PG_CONN_ERROR_BYTES]; /* the last one, its first line; "" where it is good since then */
        char unfit[PG_CONN_ERROR_BYTES]; /* why the last connection could not be used, though there was one:
                                            what does not fit, and what to do; "" for no such reason */
        void (*close_cb)(struct pg_conn *);
};

/* Starts connecting to @url (libpq conninfo or URL, "" for libpq's defaults). */
void pg_conn_open(struct pg_conn *c, uv_loop_t *loop, const char *url, const char *name,
                  const struct pg_conn_ops *ops, void *ctx);

/* Cancels nothing on the server; no callback comes after it but @cb, which may be NULL: then @c may be freed. */
void pg_conn_close(struct pg_conn *c, void (*cb)(struct pg_conn *));

/* Gives the connection up over the failed command @what, as if the server had closed it: on_lost comes, then
 * a new attempt after the pause that belongs to a failure. The log says what the database said, and what to
 * do. */
void pg_conn_give_up(struct pg_conn *c, const char *what, const struct pg_error *error);

/* The same without an error of the database's: it does not answer, or is not needed. Nothing happens where
 * there is no connection. */
void pg_conn_drop(struct pg_conn *c, const char *why);

/* The same for a connection that another one is to have: the next attempt comes late. */
void pg_conn_yield(struct pg_conn *c, const char *why);

/* Makes the next attempt now, if one is waited for. */
void pg_conn_hurry(struct pg_conn *c);

/* The connection has served its purpose, so that the pauses are short again. An owner that gives up says so
 * only when it got on with its work: each new connection succeeds with its first commands. */
void pg_conn_served(struct pg_conn *c);

/* True where a command may be started. */
static inline bool pg_conn_ready(const struct pg_conn *c)
{
        return c->state == PG_CONN_READY;
}

/* True where there is a connection that is set up, as far as it is known. */
static inline bool pg_conn_connected(const struct pg_conn *c)
{
        return c->state == PG_CONN_READY || c->state == PG_CONN_BUSY || c->state == PG_CONN_COPY ||
               c->state == PG_CONN_VERIFY;
}

/* True where the last that is known of it is that it works. */
static inline bool pg_conn_good(const struct pg_conn *c)
{
        return c->away_us == 0;
}

/* Starts a command whose parameters and results are binary; the caller must have seen pg_conn_ready.
 * Parameters are copied. A failure is told by on_lost, from the loop. */
void pg_conn_query(struct pg_conn *c, const char *sql, int params_len, const char *const *params,
                   const int *params_bytes);

/* Starts a command without parameters, or several, which end with the first error. For COPY ... FROM STDIN
 * on_copy_in comes first. */
void pg_conn_command(struct pg_conn *c, const char *sql);

/* Hands COPY data to the connection. False: wait for on_writable before the next call (these bytes are taken
 * all the same). */
bool pg_conn_put(struct pg_conn *c, const void *data, size_t len);

/* All COPY data was put; on_result follows. */
void pg_conn_copy_end(struct pg_conn *c);

/* --- results --- */

/* NULL where the command succeeded, else its five-letter SQLSTATE. */
const char *pg_result_sqlstate(const struct pg_result *res);
/* The error's or notice's first line, for the log; a text in its place where it may quote a line: the codes of data
 * errors, and whatever a function raises. */
const char *pg_result_message(const struct pg_result *res);
/* Where the error came up: function by function, and the row of a COPY; "" for none. */
const char *pg_result_context(const struct pg_result *res);
/* SQLSTATE and messages together, of a result with an error; a message is cut where it is too long. */
struct pg_error pg_result_error(const struct pg_result *res);

/* How many rows the command wrote; -1 where its answer does not tell. */
int64_t pg_result_affected(const struct pg_result *res);

int pg_result_rows(const struct pg_result *res);
/* Values of a fixed size; a value that is not there, or of another size, is 0. */
bool pg_result_null(const struct pg_result *res, int row, int column);
bool pg_result_bool(const struct pg_result *res, int row, int column);
int32_t pg_result_i32(const struct pg_result *res, int row, int column);
int64_t pg_result_i64(const struct pg_result *res, int row, int column);
struct uuid pg_result_uuid(const struct pg_result *res, int row, int column);
/* Borrows @res. */
struct slice pg_result_text(const struct pg_result *res, int row, int column);

#endif
