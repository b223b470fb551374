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

/* One connection that writes batches of hierarchy records, one transaction after the other. */

struct hierarchy_writer_ops {
        /* Connected and without a batch: hierarchy_writer_write_take may be called. */
        void (*on_idle)(void *ctx);
        line_settle_cb *settle;
        /* Records were written; with @new_accounts, maybe accounts that were not there. */
        void (*on_written)(void *ctx, bool new_accounts);
        /* All rows of the batch are settled: it is the owner's again. on_idle follows. */
        void (*on_done)(void *ctx, struct hierarchy_batch *batch);
        /* The batch is the owner's again, with rows left, which are to be tried when it is due, others meanwhile.
         * @stuck: the first part is a row alone, which waits; the rows behind it need not. on_idle follows, when
         * there is a connection. */
        void (*on_aside)(void *ctx, struct hierarchy_batch *batch, bool stuck);
};

enum hierarchy_writer_state {
        HIERARCHY_WRITER_DOWN,     /* no connection */
        HIERARCHY_WRITER_IDLE,     /* no batch */
        HIERARCHY_WRITER_BEGIN,    /* opening a transaction, and waiting for others of the same accounts */
        HIERARCHY_WRITER_ACCOUNTS, /* upserting accounts */
        HIERARCHY_WRITER_RESOLVE,  /* asking for accounts, parents and what is there of the objects */
        HIERARCHY_WRITER_OBJECTS,  /* upserting objects */
        HIERARCHY_WRITER_END,      /* ending the transaction, either way */
        HIERARCHY_WRITER_PROBE,    /* trying to write an ordinary row, the transaction having failed */
        HIERARCHY_WRITER_PROOF,    /* the same before the transaction: its rows cost connections */
        HIERARCHY_WRITER_STATES,
};

struct hierarchy_writer {
        struct pg_conn conn;
        const struct hierarchy_writer_ops *ops;
        void *ctx;
        enum hierarchy_writer_state state;
        struct hierarchy_batch *batch; /* in hand */
        struct hierarchy_statements statements;
        unsigned retries;      /* of the part in hand */
        bool new_accounts;     /* maybe: a transaction with some may have failed, or ended unseen */
        struct pg_error error; /* on the transaction; its SQLSTATE is "" for none */
        enum hierarchy_writer_state failed_in;
        uint64_t started; /* loop time in ms when the transaction was last begun */
        uint64_t proven;  /* the same when an ordinary row was last written, on this connection; 0: never */
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

/* Writes @batch, which the idle writer takes over until on_done or on_aside: when the connection is lost it goes on
 * with the next one. */
void hierarchy_writer_write_take(struct hierarchy_writer *w, struct hierarchy_batch *batch);

/* Gives up the batch in hand, with the connection: it is the caller's again. NULL where there is none. */
struct hierarchy_batch *hierarchy_writer_drop(struct hierarchy_writer *w, const char *why);

#endif
