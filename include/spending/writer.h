#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "base/log.h"
#include "model/spending_store.h"
#include "monitor/stats.h"
#include "pg/pg_conn.h"
#include "spending/batch.h"
#include "spending/copy_format.h"
#include "spending/fates.h"
#include "spending/portion.h"
#include "spending/probe.h"
#include "spending/row.h"
#include "spending/row_order.h"

/* One database connection that writes batches, one after the other. */

struct writer;

struct writer_ops {
        /* Connected and without a batch: writer_write may be called. */
        void (*on_idle)(void *ctx, struct writer *w);
        /* A batch is committed, @us after it was taken; its rows' fates follow. */
        void (*on_committed)(void *ctx, const struct batch *batch, uint64_t us);
        /* A row is settled. */
        line_settle_cb *settle;
        /* The row's ad object is deleted: the callback takes over *row. */
        void (*on_missing)(void *ctx, const struct row *row);
        /* Takes over a batch, or part of one, that is still to be written: it comes next. */
        void (*on_return)(void *ctx, struct batch *batch);
};

enum writer_state {
        WRITER_DOWN,       /* no connection */
        WRITER_IDLE,       /* no batch */
        WRITER_TAKING,     /* a batch was taken, nothing has been sent yet */
        WRITER_OBSTACLE,   /* asking whether foreign keys can be checked by the batch */
        WRITER_COPY,       /* COPY started: sending rows, then awaiting the result, which commits */
        WRITER_OPEN_COPY,  /* as WRITER_COPY, in a transaction that is left open */
        WRITER_BEGIN,      /* opening the transaction of a merge */
        WRITER_KNOWN,      /* reading which rows are stored already; only the other rows are merged */
        WRITER_MERGE,      /* INSERT ... ON CONFLICT DO NOTHING */
        WRITER_COMPARE,    /* reading the stored rows with the rows' keys */
        WRITER_ELSEWHERE,  /* checking whether missing rows were stored under other keys */
        WRITER_COMMIT,     /* committing */
        WRITER_ROLLBACK,   /* rolling back a failed batch */
        WRITER_LOCKED,     /* reading which ad objects are locked */
        WRITER_MISSING,    /* reading which ad objects are deleted */
        WRITER_CANDIDATES, /* reading candidates for probe rows */
        WRITER_PROBE,      /* writing a probe row after the batch failed */
        WRITER_STATES,
};

/* What recent batches held, and how the next one begins. */
enum writer_habit {
        WRITER_COPIES,   /* new rows: COPY */
        WRITER_MERGES,   /* some rows that were stored already: a merge */
        WRITER_COMPARES, /* more stored rows than new ones: a comparison, then a merge of the new ones */
};

struct writer_config {
        const char *url;  /* borrowed */
        bool fk_by_batch; /* check a batch's ad objects once, not each row's */
};

struct writer {
        struct pg_conn conn;
        char name[24];
        const struct writer_config *config; /* borrowed */
        const struct writer_ops *ops;
        void *ctx;
        enum writer_state state;
        struct batch *batch;
        bool fk_by_batch;   /* configured, and possible on this connection */
        size_t next_row;    /* COPY: the first row not yet sent */
        unsigned retries;   /* consecutive retries of this batch */
        bool copied;        /* rows found stored were stored by this batch's own COPY */
        size_t copied_rows; /* number of rows that the COPY of the open transaction stored */
        unsigned merges;    /* of the transaction so far */
        bool dropped;       /* the connection is given up, through no fault of the batch */
        enum writer_habit habit;
        unsigned
                /* the table has triggers that could change rows: number of further batches to compare before
                 * COMMIT */
                row_triggers;
        struct row_order order; /* COPY */
        struct known_weeks weeks;
        struct fates fates;
        struct probe probe;
        struct probe_weeks written;
        /* of the batch; "" if it was not tried because connections were lost with it */
        struct pg_error error;
        enum lock_wait wait; /* of the batch's last attempt */
        uint64_t lock_met;   /* loop time in ms at which a batch last waited for a lock for long; 0: never */
        uint64_t named_row;  /* COPY: the row that the error names, from 1 in the order sent; 0: none */
        uint64_t taken_us;   /* clock_monotonic_us at which the batch was taken */
        uint64_t batches;    /* written since the start, as the following counters */
        uint64_t rows;
        uint64_t failures;       /* failed attempts */
        struct log_burst rests;  /* messages about rows that wait */
        struct histogram commit; /* durations from taking a batch to its commit */
        uint64_t started;        /* loop time in ms of the batch's last attempt */
        /* loop time in ms at which an ordinary row was last written on this connection; 0: never */
        uint64_t proven;
        struct buf out;
        struct buf arrays[COPY_FORMAT_ARRAYS];
        void (*close_cb)(struct writer *);
};

/* @config must outlive the writer. */
void writer_open(struct writer *w, uv_loop_t *loop, const struct writer_config *config, unsigned number,
                 const struct writer_ops *ops, void *ctx);

/* A batch in hand is returned first (on_return); then nothing is called but @cb, which may be NULL: then @w may
 * be freed. */
void writer_close(struct writer *w, void (*cb)(struct writer *));

static inline bool writer_idle(const struct writer *w)
{
        return w->state == WRITER_IDLE;
}

/* Drops the connection if a batch is being written; on_return gives the batch back. */
void writer_drop(struct writer *w, const char *why);

/* Writes @batch, which the idle writer takes over: each row ends in settle or on_missing, or comes back with
 * on_return if the connection is lost. */
void writer_write_take(struct writer *w, struct batch *batch);

/* Adds what it has written to @r. */
void writer_stats(const struct writer *w, struct stats *r);

#endif
