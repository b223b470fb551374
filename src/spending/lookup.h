#ifndef LOOKUP_H
#define LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pg/pg_conn.h"
#include "spending/miss.h"

/* A query for many objects at once (ad_object_lookup_sql), built miss by miss. */

enum {
        LOOKUP_KEYS_MAX = 2000,    /* objects in one query */
        LOOKUP_ACCOUNTS_MAX = 256, /* accounts in one query */
        LOOKUP_PLACES_MAX = 4096,  /* at which no further account is asked for */
        LOOKUP_PARAMS = 6,
};

struct lookup {
        struct buf params[LOOKUP_PARAMS];
        XXH128_hash_t accounts[LOOKUP_ACCOUNTS_MAX]; /* by their keys */
        int32_t accounts_len;
        size_t places_len; /* where they are looked for: one for each, or one for each platform connection of a client */
        int32_t keys_len;
};

/* The answer about one miss. */
struct lookup_answer {
        size_t miss;      /* index in the query, from 0 */
        int64_t accounts; /* how many match */
        bool known;
        struct uuid object; /* if exactly one object matches */
};

/* @l must be zeroed before its first use. */
void lookup_begin(struct lookup *l);
void lookup_deinit(struct lookup *l);

/* Returns false, adding nothing, if the query is full. */
bool lookup_add(struct lookup *l, const struct miss *miss);

/* May be sent without misses, to test whether the server can answer at all. */
void lookup_send(struct lookup *l, struct pg_conn *conn);

/* Reads row @row of the answer to a query of @asked misses; returns false if it is implausible. */
bool lookup_answer(const struct pg_result *res, int row, size_t asked, struct lookup_answer *ret);

#endif
