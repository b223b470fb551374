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

/* Compares what the object cache holds with the database, a part at a time: somebody may have renamed or moved
 * an object, its account or their platform connection. An entry that is no longer right is forgotten, and the next
 * record that names it asks the database; no record waits for a check.
 *
 * The server counts the rows that were updated or deleted. Once that count has moved, all entries are checked within
 * resolve.recheck_ms. Without it they are checked in turn all the same, RECHECK_SLOW_PER_S at most: a session that
 * stays busy after its commit may keep its counts to itself for long. */

enum {
        RECHECK_OBJECTS = 4096,    /* in one question */
        RECHECK_SLOW_PER_S = 1000, /* entries while nothing has moved */
        RECHECK_TICKS = 20,        /* in resolve.recheck_ms */
};

struct recheck {
        struct object_cache *cache; /* borrowed */
        const struct name_key_secret *secret;
        unsigned period_ms; /* resolve.recheck_ms */
        bool moved_known;
        int64_t moved;    /* the server's last count */
        size_t cap;       /* of the cache, when the round began */
        size_t hand;      /* the next place in the cache */
        size_t left;      /* places left in this round */
        size_t due;       /* of these, to be checked now */
        bool fast;        /* the count has moved */
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

/* How often recheck_tick is to be called. */
static inline unsigned recheck_tick_ms(const struct recheck *c)
{
        return c->period_ms / RECHECK_TICKS;
}

/* The server's count of rows that were updated or deleted; @counted: false where it does not count. */
void recheck_moved(struct recheck *c, bool counted, int64_t moved);

/* The server may have forgotten its count, or is another one. */
void recheck_distrust(struct recheck *c);

/* Some time has passed. */
void recheck_tick(struct recheck *c);

/* Sends a question where one is due; recheck_answered follows. False where none is due. */
bool recheck_ask(struct recheck *c, struct pg_conn *conn);

/* The answer; NULL, or with an error: what was asked for is forgotten. Returns how many were wrong. */
size_t recheck_answered(struct recheck *c, const struct pg_result *res);

#endif
