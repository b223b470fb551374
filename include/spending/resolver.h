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

/* Finds each row's ad object: in the cache, or by a query for many rows at once on a database connection of
 * its own. Rows that wait for the query are held here; nothing else waits for them.
 *
 * A row whose object the database does not contain is rejected or, with a grace, kept and looked up again:
 * when the hierarchy has changed, every RESOLVER_RETRY_MS, and once more when its grace is over. Such rows
 * count in the memory limit with only their own line. From a quarter of the limit on, clients with such rows
 * should send no more (resolver_has_room_for_unknown); beyond half of it new ones get no grace, which leaves
 * the other half to other rows.
 *
 * The cache can become wrong in three ways. An object is deleted: the foreign key refuses its rows, see
 * resolver_again_take. An object, its account or their platform connection is renamed or moved: see
 * recheck.h. An account becomes reachable through a second platform connection, so that records without a
 * connectionId are ambiguous: this is checked twice per resolve.recheck_ms, and the cache cleared.
 *
 * A query that the server cannot answer delays only the records of the objects at fault. These count as
 * waiting for an unknown object, and are never rejected. */

enum {
        RESOLVER_PARKED_ROWS = 5000, /* maximum of waiting rows: at this number there is no room */
        RESOLVER_RETRY_MS = 1000,    /* interval at which unknown objects are looked up again */
};

/* The query in flight. */
enum resolver_question {
        RESOLVER_IDLE,
        RESOLVER_ASKS,      /* for misses that wait */
        RESOLVER_DOUBTS,    /* for misses of a query that failed */
        RESOLVER_PROBES,    /* tests whether the server can answer at all */
        RESOLVER_RECHECKS,  /* compares the cache with the database */
        RESOLVER_REFRESHES, /* reads which accounts are ambiguous, and whether names have changed */
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
        /* A row starts, or stops, waiting for an object that the database does not contain. */
        void (*on_unknown)(void *ctx, const struct line *line, bool waits);
        /* The daemon stops before the line's grace is over. */
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
        struct list waiting;  /* to be looked up, in order of arrival */
        struct list asked;    /* being looked up, in the query's order */
        size_t asked_len;
        struct list doubted; /* of queries that failed: looked up again in smaller ones */
        size_t doubt_max;    /* how many doubted misses per query */
        struct list unknown; /* the database does not contain them; their rows' grace is not over */
        struct list aside;   /* the server cannot answer about them; they wait until their retry_at */
        struct log_limit aside_log;
        size_t parked;        /* rows that wait for an answer, not counting those in their grace */
        size_t parked_bytes;  /* size of their lines, plus, with a grace, what they may hold during it */
        size_t unknown_bytes; /* memory held by rows in their grace */
        unsigned grace_ms;
        bool draining;
        uv_timer_t retry; /* runs while objects are unknown */
        uint64_t retried; /* loop time in ms at which all unknown objects were last looked up */
        enum resolver_question question;
        uint64_t question_at;        /* loop time in ms at which it was sent */
        enum resolver_question turn; /* the latest of the queries that take turns */
        struct pg_error error;       /* why RESOLVER_PROBES is sent */
        struct lookup lookup;
        struct recheck recheck;
        uv_timer_t tick; /* for the recheck */
        unsigned ticks;
        bool refresh_due;
        bool distrusted; /* the cache may be wrong until the refresh, and is not used */
        bool ambiguous_known;
        int64_t ambiguous; /* the last answer of the refresh */
        void (*close_cb)(struct resolver *);
};

void resolver_open(struct resolver *r, uv_loop_t *loop, const struct resolver_config *config,
                   struct memory *memory, const struct resolver_ops *ops, void *ctx);

/* All rows must have left. @cb may be NULL. */
void resolver_close(struct resolver *r, void (*cb)(struct resolver *));

/* Finds the ad object of row->rec. Returns true if the cache contained it: ad_object_id is set and *row
 * remains the caller's. Returns false if it took *row over: on_resolved or settle follows. */
bool resolver_resolve(struct resolver *r, struct row *row);

/* Takes over *row, whose ad object turned out to be deleted: removes it from the cache and looks it up
 * again. */
void resolver_again_take(struct resolver *r, const struct row *row);

/* The hierarchy changed, so unknown objects may now exist; with @new_accounts, an unambiguous account may
 * have become ambiguous. */
void resolver_hierarchy_changed(struct resolver *r, bool new_accounts);

/* A reload replaced the clients; borrows the new ones and forgets what is cached for the old ones. */
void resolver_clients_changed(struct resolver *r, struct rules *const *clients, size_t len);

/* To be called each second: the connection is not good while rows wait for an answer that is overdue. */
void resolver_note_silence(struct resolver *r);

/* Gives up all rows, and drops the database connection if a query is in flight: @cb takes over each line. */
void resolver_evacuate(struct resolver *r, const char *why, line_take_cb *cb, void *ctx);

/* From now on no row gets a grace. */
void resolver_drain(struct resolver *r);

static inline bool resolver_has_room(const struct resolver *r)
{
        return r->parked < RESOLVER_PARKED_ROWS && r->parked_bytes < r->memory->limit / 4;
}

/* True if clients with unknown rows here may send more. */
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
