#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "buf.h"
#include "list.h"
#include "memory.h"
#include "object_cache.h"
#include "pg_conn.h"
#include "row.h"

/* Finds each row's ad object: in the cache, or by a query for many rows at once on a connection of its own.
 * Rows that wait for the query are held here; nothing else waits for them.
 *
 * What the cache holds can become wrong in two ways. An object is deleted: the foreign key refuses its rows,
 * see resolver_again_take. An account becomes reachable through a second connection, so that records without
 * a connectionId are ambiguous: that is looked for every RESOLVER_REFRESH_MS, and the cache emptied. */

enum {
        RESOLVER_QUERY_KEYS = 10000,   /* objects asked for in one query */
        RESOLVER_QUERY_ACCOUNTS = 256, /* accounts in one query */
        RESOLVER_PARKED_ROWS = 20000,  /* with so many waiting, there is no room */
        RESOLVER_REFRESH_MS = 10000,   /* how often ambiguous accounts are looked for */
        RESOLVER_PARAMS = 5,
};

struct resolver_ops {
        /* row->rec.ad_object_id is set: takes over *row. */
        void (*on_resolved)(void *ctx, const struct row *row);
        /* LINE_REJECTED, with the reason. */
        row_settle_cb *settle;
};

struct resolver {
        struct pg_conn conn;
        struct memory *memory;
        const struct resolver_ops *ops;
        void *ctx;
        struct object_cache cache;
        uint64_t key_seed;
        struct list *buckets; /* of misses, by key */
        size_t buckets_len;   /* a power of two */
        struct list waiting;  /* misses to be asked for, in order of arrival */
        struct list asked;    /* those of the query in flight, in the query's order */
        size_t misses_len;    /* of both */
        size_t parked;        /* rows */
        struct buf params[RESOLVER_PARAMS];
        uv_timer_t refresh; /* when to look again which accounts are ambiguous */
        bool refresh_due;
        bool refreshing; /* that query is in flight, not one for misses */
        bool ambiguous_known;
        int64_t ambiguous; /* its last answer */
        void (*close_cb)(struct resolver *);
};

void resolver_open(struct resolver *r, uv_loop_t *loop, const char *url, size_t cache_objects,
                   struct memory *memory, const struct resolver_ops *ops, void *ctx);

/* All rows must have left. */
void resolver_close(struct resolver *r, void (*cb)(struct resolver *));

/* Finds the ad object of row->rec. True: the cache knew it, ad_object_id is set and *row still the caller's.
 * False: *row was taken over, on_resolved or settle follows. */
bool resolver_resolve(struct resolver *r, struct row *row);

/* Takes over *row, whose ad object was found to be gone: forgets it and looks again. */
void resolver_again_take(struct resolver *r, const struct row *row);

static inline bool resolver_has_room(const struct resolver *r)
{
        return r->parked < RESOLVER_PARKED_ROWS;
}

static inline bool resolver_empty(const struct resolver *r)
{
        return r->parked == 0;
}

#endif
