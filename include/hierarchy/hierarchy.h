#ifndef HIERARCHY_H
#define HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/list.h"
#include "base/memory.h"
#include "hierarchy/hierarchy_aside.h"
#include "hierarchy/hierarchy_batch.h"
#include "hierarchy/hierarchy_writer.h"
#include "monitor/stats.h"
#include "pg/pace.h"
#include "wire/line.h"

/* Writes hierarchy records: gathers them into batches and writes one batch after the other on a connection of
 * its own. What comes while it is writing is the next batch. Spending that came behind hierarchy records on the same
 * client's connection waits here until those are written, so that it finds their objects.
 *
 * Records that cannot be written, while others can, step aside with what depends on them (hierarchy_aside.h): they
 * and others are tried in turn. */

enum {
        HIERARCHY_SEALED_MAX = 2,        /* with so many batches waiting, there is no room */
        HIERARCHY_FOLLOWERS_MAX = 20000, /* nor with so many spending rows */
};

struct hierarchy_ops {
        line_settle_cb *settle;
        /* The records that *row came behind are written: takes over *row. */
        void (*on_follower)(void *ctx, const struct row *row);
        /* The line steps aside, or is held by one that did. */
        void (*on_aside)(void *ctx, struct line *line);
        /* At the end: takes over a line that stepped aside, or was held. */
        line_take_cb *on_abandoned;
        /* Records were written: objects that nobody knew may be there now; with @new_accounts, accounts, too.
         */
        void (*on_written)(void *ctx, bool new_accounts);
};

struct hierarchy {
        struct hierarchy_writer writer;
        uv_timer_t gather; /* when the idle writer takes the open batch */
        uv_timer_t wake;   /* when a batch that stepped aside is due */
        struct memory *memory;
        struct pace pace;
        uint64_t taken_us; /* clock_monotonic_us when the writer took its batch */
        uint64_t done_at;  /* loop time in ms of the last commit */
        const struct hierarchy_ops *ops;
        void *ctx;
        struct hierarchy_batch *open; /* takes records; NULL: none */
        struct list sealed;
        size_t sealed_len;
        struct hierarchy_aside aside;
        enum { HIERARCHY_TURN_SEALED, HIERARCHY_TURN_ASIDE } turn; /* whose it is, where both wait */
        uint64_t last;                                             /* the number of the newest batch */
        uint64_t done; /* batches up to this number are written, or stepped aside */
        size_t followers;
        bool draining;
        void (*close_cb)(struct hierarchy *);
};

void hierarchy_open(struct hierarchy *h, uv_loop_t *loop, const char *url, struct memory *memory,
                    const struct pace_limits *limits, const struct hierarchy_ops *ops, void *ctx);

/* From the next record on. */
void hierarchy_set_limits(struct hierarchy *h, const struct pace_limits *limits);

/* Everything must have been settled. @cb may be NULL. */
void hierarchy_close(struct hierarchy *h, void (*cb)(struct hierarchy *));

/* Takes over *row. Returns the number of its batch, for the two below. */
uint64_t hierarchy_add_take(struct hierarchy *h, const struct hierarchy_row *row);

/* Whether batch @number, or 0 for none, is still to be written. */
static inline bool hierarchy_pending(const struct hierarchy *h, uint64_t number)
{
        return number > h->done;
}

/* Takes over *row, which waits for the pending batch @number. */
void hierarchy_follow_take(struct hierarchy *h, uint64_t number, const struct row *row);

/* Takes over spending if it must wait for records of its sender's that stepped aside; else false. */
bool hierarchy_hold_take(struct hierarchy *h, const struct row *row);

/* Whether who has lines aside may send more. */
static inline bool hierarchy_has_room_aside(const struct hierarchy *h)
{
        return h->aside.lines < h->pace.limits.rows;
}

/* Whether anything waits for the database, but for what stepped aside while that works. */
static inline bool hierarchy_waits(const struct hierarchy *h)
{
        return h->writer.batch || h->sealed_len > 0 || h->open ||
               (!hierarchy_aside_empty(&h->aside) && !pg_conn_connected(&h->writer.conn));
}

/* Whether who has a batch pending may send more, hierarchy or spending. */
static inline bool hierarchy_has_room(const struct hierarchy *h)
{
        return h->sealed_len < HIERARCHY_SEALED_MAX && h->followers < HIERARCHY_FOLLOWERS_MAX;
}

/* Gives up all that is not written, and the connection where it is writing: @cb takes over each line, of
 * records and of spending behind them, in no particular order. */
void hierarchy_evacuate(struct hierarchy *h, const char *why, line_take_cb *cb, void *ctx);

/* No more lines are on their way: the open batch is written now, if the writer is idle. */
void hierarchy_hurry(struct hierarchy *h);

/* From now on no batch waits for more records; those that stepped aside are tried once more, and abandoned. */
void hierarchy_drain(struct hierarchy *h);

/* Adds what waits to @r. */
void hierarchy_stats(const struct hierarchy *h, struct stats *r);

#endif
