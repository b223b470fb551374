#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/stats.h"
#include "pg/pg_conn.h"
#include "spending/lookup.h"
#include "spending/miss.h"
#include "spending/object_cache.h"
#include "spending/recheck.h"
#include "spending/row.h"
#include "wire/rules.h"

/* Finds each row's ad object: in the cache, or by a query for many rows at once on a connection of its own.
 * Rows that wait for the query are held here; nothing else waits for them.
 *
 * A row whose object the database does not have is refused, or, with a grace, kept and asked for again: when
 * the hierarchy has changed, every RESOLVER_RETRY_MS, and once more when its grace is over. Such rows count
 * in the memory limit with no more than their own line. At a quarter of it who has some should send no more
 * (resolver_has_room_for_unknown); where they fill half of it all the same, there is no grace for others, so
 * that the other half is left for rows that do not wait.
 *
 * What the cache holds can become wrong in three ways. An object is deleted: the foreign key refuses its rows,
 * see resolver_again_take. An object, its account or their connection is renamed or moved: see recheck.h. An
 * account becomes reachable through a second connection, so that records without a connectionId are ambiguous: that
 * is looked for twice in resolve.recheck_ms, and the cache emptied.
 *
 * A question that the server cannot answer holds up nobody but the records of the objects that are at fault. These
 * count as waiting for an unknown object, and are never refused. */

enum {
        RESOLVER_PARKED_ROWS = 20000, /* with so many waiting, there is no room */
        RESOLVER_RETRY_MS = 1000,     /* how often unknown objects are asked for again */
};

/* The question in flight. */
enum resolver_question {
        RESOLVER_IDLE,
        RESOLVER_ASKS,      /* for misses that wait */
        RESOLVER_DOUBTS,    /* for misses of a question that failed */
        RESOLVER_PROBES,    /* whether the server can answer at all */
        RESOLVER_RECHECKS,  /* whether the cache is right */
        RESOLVER_REFRESHES, /* which accounts are ambiguous, and whether names have changed */
        RESOLVER_QUESTIONS,
};

struct resolver_config {
        const char *url; /* borrowed */
        size_t cache_objects;
        unsigned grace_ms;
        unsigned recheck_ms;
};

struct resolver_ops {
        /* row->rec.ad_object_id is set: takes over *row. */
        void (*on_resolved)(void *ctx, const struct row *row);
        /* LINE_REJECTED, with the reason. */
        line_settle_cb *settle;
        /* A row begins, or ceases, to wait for an object that the database does not have. */
        void (*on_unknown)(void *ctx, const struct line *line, bool waits);
        /* A line's grace is not over, but the daemon is to end. */
        line_take_cb *on_abandoned;
};

struct resolver {
        struct pg_conn conn;
        struct memory *memory;
        const struct resolver_ops *ops;
        void *ctx;
        struct object_cache cache;
        uint64_t hits; /* rows whose object the cache knew, since the start */
        uint64_t cache_misses;
        struct name_key_secret secret;
        struct misses misses; /* those of all lists: */
        struct list waiting;  /* to be asked for, in order of arrival */
        struct list asked;    /* those of the question in flight, in its order */
        size_t asked_len;
        struct list doubted; /* of questions that failed, to be asked for in smaller ones */
        size_t doubt_max;    /* how many at once */
        struct list unknown; /* those that the database does not have, whose rows' grace is not over */
        struct list aside;   /* those that the server cannot answer about, until their retry_at */
        struct log_limit aside_log;
        size_t parked;        /* rows that wait for an answer, without those that wait for their grace */
        size_t parked_bytes;  /* of their lines and, with a grace, of what they may hold then */
        size_t unknown_bytes; /* of memory that rows hold while they wait for their grace */
        unsigned grace_ms;
        bool draining;
        uv_timer_t retry; /* runs while objects are unknown */
        uint64_t retried; /* loop time in ms when all unknown objects were last asked for */
        enum resolver_question question;
        enum resolver_question turn; /* the last of those that take turns */
        struct pg_error error;       /* why RESOLVER_PROBES is asked */
        struct lookup lookup;
        struct recheck recheck;
        uv_timer_t tick; /* of the recheck */
        unsigned ticks;
        bool refresh_due;
        bool distrusted; /* the cache may be wrong until the refresh: it is not asked */
        bool ambiguous_known;
        int64_t ambiguous; /* its last answer */
        void (*close_cb)(struct resolver *);
};

void resolver_open(struct resolver *r, uv_loop_t *loop, const struct resolver_config *config,
                   struct memory *memory, const struct resolver_ops *ops, void *ctx);

/* All rows must have left. @cb may be NULL. */
void resolver_close(struct resolver *r, void (*cb)(struct resolver *));

/* Finds the ad object of row->rec. True: the cache knew it, ad_object_id is set and *row still the caller's.
 * False: *row was taken over, on_resolved or settle follows. */
bool resolver_resolve(struct resolver *r, struct row *row);

/* Takes over *row, whose ad object was found to be gone: forgets it and looks again. */
void resolver_again_take(struct resolver *r, const struct row *row);

/* The hierarchy was changed: unknown objects may be there now; with @new_accounts, what was one account may
 * be several now. */
void resolver_hierarchy_changed(struct resolver *r, bool new_accounts);

/* There are other clients from now on, which are borrowed: nothing is remembered for those before. */
void resolver_clients_changed(struct resolver *r, struct rules *const *clients, size_t len);

/* Gives up all rows, and the connection where it is asking: @cb takes over each line. */
void resolver_evacuate(struct resolver *r, const char *why, line_take_cb *cb, void *ctx);

/* From now on no row waits for its grace. */
void resolver_drain(struct resolver *r);

static inline bool resolver_has_room(const struct resolver *r)
{
        return r->parked < RESOLVER_PARKED_ROWS && r->parked_bytes < r->memory->limit / 4;
}

/* Whether who has unknown rows here may send more. */
static inline bool resolver_has_room_for_unknown(const struct resolver *r)
{
        return r->unknown_bytes < r->memory->limit / 4;
}

static inline bool resolver_empty(const struct resolver *r)
{
        return r->parked == 0 && r->unknown_bytes == 0;
}

/* Adds its cache, and what waits, to @r. */
void resolver_stats(const struct resolver *r, struct stats *stats);

#endif
