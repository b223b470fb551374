#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "monitor/stats.h"
#include "pg/pg_conn.h"
#include "spending/batch.h"
#include "spending/copy_format.h"
#include "spending/fates.h"
#include "spending/portion.h"
#include "spending/probe.h"
#include "spending/row.h"
#include "spending/row_order.h"

/* One connection that writes batches, one after the other. */

struct writer;

struct writer_ops {
        /* Connected and without a batch: writer_write may be called. */
        void (*on_idle)(void *ctx, struct writer *w);
        /* A batch is committed, @us after it was taken; its rows' fates follow. */
        void (*on_committed)(void *ctx, const struct batch *batch, uint64_t us);
        /* A row's fate. */
        line_settle_cb *settle;
        /* The row's ad object has gone from the database: takes over *row. */
        void (*on_missing)(void *ctx, const struct row *row);
        /* Takes over a batch, or a part of one, that is still to be written: it is next in line. */
        void (*on_return)(void *ctx, struct batch *batch);
};

enum writer_state {
        WRITER_DOWN,       /* no connection */
        WRITER_IDLE,       /* no batch */
        WRITER_TAKING,     /* a batch was taken, and nothing is sent yet */
        WRITER_OBSTACLE,   /* asking what stands against checking foreign keys by the batch */
        WRITER_COPY,       /* COPY started; its rows are sent, then its result awaited: it commits */
        WRITER_OPEN_COPY,  /* the same in a transaction that is left open */
        WRITER_BEGIN,      /* opening the transaction of a merge */
        WRITER_MERGE,      /* INSERT ... ON CONFLICT DO NOTHING */
        WRITER_COMPARE,    /* asking what is stored under the rows' keys */
        WRITER_ELSEWHERE,  /* asking whether rows that are not there were stored under other keys */
        WRITER_COMMIT,     /* ending the transaction */
        WRITER_ROLLBACK,   /* the same, the batch having failed */
        WRITER_LOCKED,     /* asking which ad objects somebody has locked */
        WRITER_MISSING,    /* asking which ad objects are gone */
        WRITER_CANDIDATES, /* asking for ordinary rows to probe with */
        WRITER_PROBE,      /* writing one, the batch having failed */
        WRITER_STATES,
};

struct writer_config {
        const char *url;  /* borrowed */
        bool fk_by_batch; /* look for the batch's ad objects once, instead of for each row's */
};

struct writer {
        struct pg_conn conn;
        char name[24];
        const struct writer_config *config; /* borrowed */
        const struct writer_ops *ops;
        void *ctx;
        enum writer_state state;
        struct batch *batch;
        bool fk_by_batch;   /* as wanted, and nothing stands against it on this connection */
        size_t next_row;    /* COPY: the first row that is not sent */
        bool trailer;       /* COPY: all was handed to the connection */
        unsigned retries;   /* of this batch, in a row */
        bool copied;        /* what is stored of the batch is: its own COPY stored it */
        size_t copied_rows; /* how many rows the COPY of the open transaction stored */
        bool dropped;       /* the connection is given up, which is not the batch's doing */
        bool merging; /* the last batches met rows that were stored already: merge without trying COPY */
        unsigned
                row_triggers; /* the table has triggers that could change rows: so many batches more are looked at before
                                   COMMIT */
        struct row_order order; /* COPY */
        struct known_weeks weeks;
        struct fates fates;
        struct probe probe;
        struct pg_error error; /* on the batch; "" where it was not tried, but cost connections */
        uint64_t named_row;    /* COPY: the row of the order, from 1, that the error names; 0 for none */
        uint64_t taken_us;     /* clock_monotonic_us when the batch was taken */
        uint64_t batches;      /* written, since the start; so are these: */
        uint64_t rows;
        uint64_t failures;       /* tries that failed */
        struct histogram commit; /* from taking a batch to its commit */
        uint64_t started;        /* loop time in ms when the batch was last tried */
        uint64_t proven; /* the same when an ordinary row was last written, on this connection; 0: never */
        struct buf out;
        struct buf arrays[COPY_FORMAT_ARRAYS];
        void (*close_cb)(struct writer *);
};

/* @config is to stay until the writer is closed. */
void writer_open(struct writer *w, uv_loop_t *loop, const struct writer_config *config, unsigned number,
                 const struct writer_ops *ops, void *ctx);

/* A batch in hand is returned first (on_return); then nothing is called but @cb, which may be NULL: then @w may
 * be freed. */
void writer_close(struct writer *w, void (*cb)(struct writer *));

static inline bool writer_idle(const struct writer *w)
{
        return w->state == WRITER_IDLE;
}

/* Gives up the connection where a batch is in hand, which comes back with on_return. */
void writer_drop(struct writer *w, const char *why);

/* Writes @batch, which the idle writer takes over: every row of it ends in settle or on_missing, or comes
 * back with on_return when the connection is lost. */
void writer_write_take(struct writer *w, struct batch *batch);

/* Adds what it has written to @r. */
void writer_stats(const struct writer *w, struct stats *r);

#endif
