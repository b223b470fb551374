#ifndef OVERFLOW_H
#define OVERFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/memory.h"
#include "monitor/stats.h"
#include "spool/spool.h"
#include "wire/line.h"

/* Decides when lines are spooled, and when they go to the database again; owns the spool. */

/* What the overflow needs of the pipeline's stages. */
struct overflow_ops {
        /* Takes over a line and sends it into the stages. */
        void (*route)(void *ctx, struct line *line);
        /* Takes all lines out of the stages and drops the database connections that are busy with them, for the reason
         * @why: @cb gets @cb_ctx, and takes over the lines in the order in which they were received. */
        void (*evacuate)(void *ctx, const char *why, line_take_cb *cb, void *cb_ctx);
        /* True if the stages have room for any line. */
        bool (*has_room)(void *ctx);
        /* True if the memory limit pauses all clients, but not for long. */
        bool (*memory_full)(void *ctx);
        /* True if anything waits for an answer of the database; rows that gather in a batch do not. */
        bool (*waits)(void *ctx);
        /* True if all database connections are established. */
        bool (*connected)(void *ctx);
        /* Returns a reference to the rules for a line of @origin (rules.h); NULL for none. */
        struct rules *(*rules_of)(void *ctx, const char *origin);
        /* True if the rejects of all replayed lines are in the reject file. */
        bool (*on_record)(void *ctx);
};

struct overflow_config {
        const char *dir; /* borrowed; "" for no spool */
        uint64_t max_bytes;
};

enum overflow_state {
        OVERFLOW_DIRECT,    /* lines go to the database */
        OVERFLOW_SPOOLING,  /* lines go to the spool, and the database has settled nothing since */
        OVERFLOW_REPLAYING, /* new lines are spooled while earlier ones are replayed before them */
        OVERFLOW_STATES,
};

struct overflow {
        uv_loop_t *loop;
        struct memory *memory;
        uint64_t max_bytes;
        struct spool spool;
        const struct overflow_ops *ops;
        void *ctx;
        struct line_source source; /* of replayed lines */
        /* Lines in the spool at the start, plus added ones, equal the sum of these counts, of the lines still in the spool,
         * and of those lost in damaged files. */
        struct line_tally tally;
        uv_timer_t look;
        uv_prepare_t turn;
        enum overflow_state state;
        bool ending;
        uint64_t settled_at;     /* loop time in ms when the database last settled a line */
        uint64_t added_bytes;    /* since the state began */
        uint64_t replayed_bytes; /* replayed since the diversion began */
};

/* Opens the spool; without one every line goes to the database. Returns 0, or a code of enum err after logging the reason;
 * the caller closes @o in either case. */
int overflow_open(struct overflow *o, uv_loop_t *loop, const struct overflow_config *config,
                  struct memory *memory, const struct overflow_ops *ops, void *ctx);

/* Nothing may be replayed any more. The loop ends its work. */
void overflow_close(struct overflow *o);

static inline bool overflow_on(const struct overflow *o)
{
        return spool_on(&o->spool);
}

/* Whether lines of clients go to the spool. */
static inline bool overflow_diverts(const struct overflow *o)
{
        return o->state != OVERFLOW_DIRECT;
}

/* True if the spool can accept lines now. */
bool overflow_has_room(const struct overflow *o);

/* Takes over a good line of a client. */
void overflow_add_take(struct overflow *o, const struct line *line);

/* Takes over a line that the stages gave up: adds it to the spool unless it came from there. */
void overflow_keep_take(struct overflow *o, struct line *line);

/* The database settled a line. */
static inline void overflow_note_progress(struct overflow *o)
{
        o->settled_at = uv_now(o->loop);
}

/* The rules of who may write what have changed: what is replayed and not settled is replayed again. */
void overflow_judge_again(struct overflow *o);

/* The daemon stops: nothing is replayed any more. */
void overflow_drain(struct overflow *o);

/* All that is replayed and not settled is given up: it stays in the spool. */
void overflow_end(struct overflow *o);

void overflow_stats(const struct overflow *o, struct stats *r);

#endif
