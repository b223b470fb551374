#ifndef RECHECK_H
#define RECHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "pg/pg_conn.h"
#include "spending/object_cache.h"
#include "wire/rules.h"
#include "wire/name_key.h"

/* Compares the object cache with the database, part by part, since other programs may rename or move an
 * object, its account or their platform connection. A wrong entry is removed, and the next record that names
 * it asks the database; no record waits for a check.
 *
 * The server counts updated and deleted rows, and publishes a session's counts up to 10 s after its commit (60 s on a busy
 * server). The count is read twice per resolve.recheck_ms; once it changes, all entries are checked within resolve.recheck_ms.
 * Otherwise they are checked in turn, at most RECHECK_SLOW_PER_S per second. */

enum {
        RECHECK_OBJECTS = 4096,    /* in one query */
        RECHECK_SLOW_PER_S = 1000, /* entries per second while the count does not change */
        RECHECK_TICKS = 20,        /* per resolve.recheck_ms */
};

struct recheck {
        struct object_cache *cache; /* borrowed */
        const struct name_key_secret *secret;
        unsigned period_ms; /* resolve.recheck_ms */
        bool moved_known;
        int64_t moved;    /* the server's last count */
        size_t cap;       /* of the cache at the start of the round */
        size_t hand;      /* the next slot of the cache */
        size_t left;      /* slots left in this round */
        size_t due;       /* slots of these to check now */
        bool fast;        /* the count has changed */
        unsigned ticks;   /* since the round began */
        struct buf param; /* array of ids */
        struct object_cache_entry *asked;
        size_t asked_len;
        uint64_t forgotten;           /* since the start */
        struct rules *const *clients; /* borrowed: whose marks entries may bear */
        size_t clients_len;
};

void recheck_init(struct recheck *c, struct object_cache *cache, const struct name_key_secret *secret,
                  unsigned period_ms);
void recheck_deinit(struct recheck *c);

/* Other clients, from now on. */
void recheck_set_clients(struct recheck *c, struct rules *const *clients, size_t len);

/* Interval at which recheck_tick must be called. */
static inline unsigned recheck_tick_ms(const struct recheck *c)
{
        return c->period_ms / RECHECK_TICKS;
}

/* Reports the server's count of updated or deleted rows; @counted: false if it does not count. */
void recheck_moved(struct recheck *c, bool counted, int64_t moved);

/* The server may have lost its count, or may be another server. */
void recheck_distrust(struct recheck *c);

/* A tick's interval has passed. */
void recheck_tick(struct recheck *c);

/* Sends a query if one is due and returns true; recheck_answered follows. */
bool recheck_ask(struct recheck *c, struct pg_conn *conn);

/* Handles the answer. NULL or an error: all entries of the query are removed. Returns the number of wrong
 * entries. */
size_t recheck_answered(struct recheck *c, const struct pg_result *res);

#endif
