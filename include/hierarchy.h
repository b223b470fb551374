#ifndef HIERARCHY_H
#define HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "buf.h"
#include "hierarchy_batch.h"
#include "line.h"
#include "list.h"
#include "memory.h"
#include "pg_conn.h"
#include "sqlstate.h"

/* Writes hierarchy records: gathers them into batches and writes one batch after the other on a connection of
 * its own. Spending that came behind hierarchy records on the same client's connection waits here until those
 * are written, so that it finds their objects. */

enum {
        HIERARCHY_SEALED_MAX = 2,        /* with so many batches waiting, there is no room */
        HIERARCHY_FOLLOWERS_MAX = 20000, /* nor with so many spending rows */
        HIERARCHY_PARAMS_MAX = 8,
};

struct hierarchy_ops {
        line_settle_cb *settle;
        /* The records that *row came behind are written: takes over *row. */
        void (*on_follower)(void *ctx, const struct row *row);
        /* Records were written: objects that nobody knew may be there now; with @new_accounts, accounts, too.
         */
        void (*on_written)(void *ctx, bool new_accounts);
};

struct hierarchy_limits {
        size_t rows;
        size_t bytes;
        unsigned linger_ms;
};

enum hierarchy_state {
        HIERARCHY_DOWN,     /* no connection */
        HIERARCHY_IDLE,     /* no batch */
        HIERARCHY_BEGIN,    /* opening a transaction */
        HIERARCHY_ACCOUNTS, /* upserting accounts */
        HIERARCHY_RESOLVE,  /* asking for accounts, parents and what is there of the objects */
        HIERARCHY_OBJECTS,  /* upserting objects */
        HIERARCHY_COMMIT,   /* ending the transaction, either way */
        HIERARCHY_PROBE,    /* trying to insert an ordinary row, the transaction's only one having failed */
};

struct hierarchy {
        struct pg_conn conn;
        uv_timer_t linger;
        struct memory *memory;
        struct hierarchy_limits limits;
        const struct hierarchy_ops *ops;
        void *ctx;
        struct hierarchy_batch *open; /* takes records; NULL: none */
        struct list sealed;
        size_t sealed_len;
        uint64_t last; /* the number of the newest batch */
        uint64_t done; /* batches up to this number are written */
        size_t followers;

        enum hierarchy_state state;
        struct hierarchy_batch *batch; /* in hand */
        size_t start;                  /* rows [start, end) of it are in the transaction; those before */
        size_t end;                    /* are settled */
        unsigned retries;              /* of these rows */
        struct suspicion suspicion;    /* of the batch */
        bool new_accounts;             /* maybe: a transaction with some may have failed, or ended unseen */
        struct pg_error error;         /* on the transaction */
        uint32_t *asked;               /* the rows of the statement in flight, in its order */
        size_t asked_len;
        size_t asked_cap;
        struct buf params[HIERARCHY_PARAMS_MAX];
        void (*close_cb)(struct hierarchy *);
};

void hierarchy_open(struct hierarchy *h, uv_loop_t *loop, const char *url, struct memory *memory,
                    const struct hierarchy_limits *limits, const struct hierarchy_ops *ops, void *ctx);

/* Everything must have been settled. */
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

/* Whether who has a batch pending may send more, hierarchy or spending. */
static inline bool hierarchy_has_room(const struct hierarchy *h)
{
        return h->sealed_len < HIERARCHY_SEALED_MAX && h->followers < HIERARCHY_FOLLOWERS_MAX;
}

/* Gives up all that is not written, and the connection where it is writing: @cb takes over each line, of
 * records and of spending behind them, in no particular order. */
void hierarchy_evacuate(struct hierarchy *h, const char *why, void (*cb)(void *ctx, struct line *line),
                        void *ctx);

/* From now on no batch waits for more records. */
void hierarchy_drain(struct hierarchy *h);

#endif
