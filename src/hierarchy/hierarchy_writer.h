#ifndef HIERARCHY_WRITER_H
#define HIERARCHY_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "hierarchy/hierarchy_batch.h"
#include "hierarchy/hierarchy_statements.h"
#include "pg/pg_conn.h"
#include "pg/sqlstate.h"
#include "wire/line.h"

/* One database connection that writes batches of hierarchy records, one transaction after the other. */

struct hierarchy_writer_ops {
        /* Connected and without a batch: hierarchy_writer_write_take may be called. */
        void (*on_idle)(void *ctx);
        line_settle_cb *settle;
        /* Records were written; with @new_accounts, possibly new accounts. */
        void (*on_written)(void *ctx, bool new_accounts);
        /* All rows of the batch are settled; the owner owns it again. on_idle follows. */
        void (*on_done)(void *ctx, struct hierarchy_batch *batch);
        /* The line alone could not be written, while others could; on_aside follows. */
        void (*on_fault)(void *ctx, struct line *line);
        /* The batch has rows left that are to be tried when it is due, other batches meanwhile; the owner
         * owns it again. @stuck: its first part is a single row that waits; the rows after it need not.
         * on_idle follows once there is a connection. */
        void (*on_aside)(void *ctx, struct hierarchy_batch *batch, bool stuck);
};

enum hierarchy_writer_state {
        HIERARCHY_WRITER_DOWN,     /* no connection */
        HIERARCHY_WRITER_IDLE,     /* no batch */
        HIERARCHY_WRITER_BEGIN,    /* opening a transaction and acquiring locks */
        HIERARCHY_WRITER_ACCOUNTS, /* upserting accounts */
        HIERARCHY_WRITER_RESOLVE,  /* reading accounts, parents and stored objects */
        HIERARCHY_WRITER_OBJECTS,  /* upserting objects */
        HIERARCHY_WRITER_END,      /* committing or rolling back */
        HIERARCHY_WRITER_PROBE,    /* writing a probe row after the transaction failed */
        /* writing a probe row before the transaction: connections were lost with its rows */
        HIERARCHY_WRITER_PROOF,
        HIERARCHY_WRITER_STATES,
};

struct hierarchy_writer {
        struct pg_conn conn;
        const struct hierarchy_writer_ops *ops;
        void *ctx;
        enum hierarchy_writer_state state;
        struct hierarchy_batch *batch; /* the batch being written */
        struct hierarchy_statements statements;
        unsigned retries;  /* of the part being written */
        bool new_accounts; /* possibly: a transaction with accounts may have failed, or committed unseen */
        struct pg_error error; /* of the transaction; its SQLSTATE is "" for none */
        enum hierarchy_writer_state failed_in;
        uint64_t started; /* loop time in ms at which the last transaction began */
        /* loop time in ms at which a probe row last succeeded on this connection; 0: never */
        uint64_t proven;
        void (*close_cb)(struct hierarchy_writer *);
};

void hierarchy_writer_open(struct hierarchy_writer *w, uv_loop_t *loop, const char *url,
                           const struct hierarchy_writer_ops *ops, void *ctx);

/* There must be no batch in hand. Nothing is called any more but @cb, which may be NULL: then @w
 * may be freed. */
void hierarchy_writer_close(struct hierarchy_writer *w, void (*cb)(struct hierarchy_writer *));

static inline bool hierarchy_writer_idle(const struct hierarchy_writer *w)
{
        return w->state == HIERARCHY_WRITER_IDLE;
}

/* Writes @batch, which the idle writer owns until on_done or on_aside; continues on the next connection if
 * this one is lost. */
void hierarchy_writer_write_take(struct hierarchy_writer *w, struct hierarchy_batch *batch);

/* Drops batch and connection. Returns the batch, which the caller owns again; NULL if there is none. */
struct hierarchy_batch *hierarchy_writer_drop(struct hierarchy_writer *w, const char *why);

#endif
