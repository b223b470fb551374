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
#include "pg/pg_array.h"
#include "wire/line.h"

/* Writes hierarchy records: gathers them into batches and writes one batch after the other on a connection of
 * its own. What comes while it is writing is the next batch. Spending that came after hierarchy records on the same
 * client's connection waits here until those are written, so that it finds their objects.
 *
 * A batch with records that cannot be written, while others can, is set aside together with lines that
 * depend on it (hierarchy_aside.h); batches set aside and new ones are tried in turn. */

enum {
        /* maximum of sealed batches: at this number clients with hierarchy records are paused */
        HIERARCHY_SEALED_MAX = 2,
        HIERARCHY_FOLLOWERS_MAX = 20000, /* the same for waiting spending rows */
        /* limits of a batch beside the settings' */
        HIERARCHY_ROWS_MAX = PG_ARRAY_LEN_BEST,
        HIERARCHY_BYTES_MAX = 512 * 1024,
};

struct hierarchy_ops {
        line_settle_cb *settle;
        /* The records that *row followed are written; the callback takes over *row. */
        void (*on_follower)(void *ctx, const struct row *row);
        /* The line's batch was set aside, or the line is held by such a batch. */
        void (*on_aside)(void *ctx, struct line *line);
        /* The line alone could not be written, while others could; it waits. */
        void (*on_fault)(void *ctx, struct line *line);
        /* What kind of client sent a line of a batch in which a bad one was found. */
        enum batcher_sender (*sender)(void *ctx, const struct line *line);
        /* Whether a line that alone cannot be written may wait; otherwise it is given up. */
        bool (*may_rest)(void *ctx, const struct line *line);
        /* Takes over a line that was set aside or held: it is given up. */
        line_take_cb *on_abandoned;
        /* Records were written, so unknown objects may now exist; with @new_accounts, accounts, too. */
        void (*on_written)(void *ctx, bool new_accounts);
};

struct hierarchy {
        struct hierarchy_writer writer;
        uv_timer_t gather; /* when the idle writer takes the open batch */
        uv_timer_t wake;   /* for when a batch set aside is due */
        struct memory *memory;
        struct pace pace;
        uint64_t taken_us; /* clock_monotonic_us when the writer took its batch */
        uint64_t done_at;  /* loop time in ms of the last commit */
        const struct hierarchy_ops *ops;
        void *ctx;
        struct hierarchy_batch *open; /* collects records; NULL: none */
        struct list sealed;
        size_t sealed_len;
        struct hierarchy_aside aside;
        size_t aside_max; /* lines; at this number clients that have lines aside are paused */
        /* which kind of batch is next, if both kinds wait */
        enum { HIERARCHY_TURN_SEALED, HIERARCHY_TURN_ASIDE } turn;
        uint64_t last; /* number of the newest batch */
        uint64_t done; /* batches up to this number are written or set aside */
        size_t followers;
        bool draining;
        bool giving_up; /* batches that were set aside are not tried any longer */
        void (*close_cb)(struct hierarchy *);
};

void hierarchy_open(struct hierarchy *h, uv_loop_t *loop, const char *url, struct memory *memory,
                    const struct pace_limits *limits, const struct hierarchy_ops *ops, void *ctx);

/* Applies to later records. */
void hierarchy_set_limits(struct hierarchy *h, const struct pace_limits *limits);

/* Everything must have been settled. @cb may be NULL. */
void hierarchy_close(struct hierarchy *h, void (*cb)(struct hierarchy *));

/* Takes over *row. Returns the number of its batch, for the two functions below. */
uint64_t hierarchy_add_take(struct hierarchy *h, const struct hierarchy_row *row);

/* True if batch @number is still to be written; false for 0, which is none. */
static inline bool hierarchy_pending(const struct hierarchy *h, uint64_t number)
{
        return number > h->done;
}

/* Takes over *row, which waits for the pending batch @number. */
void hierarchy_follow_take(struct hierarchy *h, uint64_t number, const struct row *row);

/* If the spending row must wait for records of its client that were set aside, takes it over and returns
 * true. */
bool hierarchy_hold_take(struct hierarchy *h, const struct row *row);

/* True if clients that have lines set aside may send more. */
static inline bool hierarchy_has_room_aside(const struct hierarchy *h)
{
        return h->aside.lines < h->aside_max;
}

/* Rows of new clients that wait to be tried for the first time. */
size_t hierarchy_new_rows(const struct hierarchy *h);

/* True if anything waits for the database, not counting batches set aside as long as other batches can be
 * written. */
static inline bool hierarchy_waits(const struct hierarchy *h)
{
        return h->writer.batch || h->sealed_len > 0 || h->open ||
               (!hierarchy_aside_empty(&h->aside) && !pg_conn_connected(&h->writer.conn));
}

/* True if clients that have a batch pending may send more, hierarchy or spending. */
static inline bool hierarchy_has_room(const struct hierarchy *h)
{
        return h->sealed_len < HIERARCHY_SEALED_MAX && h->followers < HIERARCHY_FOLLOWERS_MAX;
}

/* Gives up everything unwritten, and the database connection if it is writing. @cb takes over each line, of
 * hierarchy and of following spending, in no particular order. */
void hierarchy_evacuate(struct hierarchy *h, const char *why, line_take_cb *cb, void *ctx);

/* No more lines are on their way: the open batch is written now, if the writer is idle. */
void hierarchy_hurry(struct hierarchy *h);

/* From now on batches are written without waiting for more records. Batches set aside are tried once more,
 * then abandoned. */
void hierarchy_drain(struct hierarchy *h);

/* Gives up all lines that are set aside or held, now and later. After hierarchy_drain. */
void hierarchy_give_up(struct hierarchy *h);

/* Adds what waits to @r. */
void hierarchy_stats(const struct hierarchy *h, struct stats *r);

#endif
