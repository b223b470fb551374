#ifndef LOOKUP_H
#define LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pg/pg_conn.h"
#include "spending/miss.h"

/* A question for many objects at once (ad_object_lookup_sql), put together miss by miss. */

enum {
        LOOKUP_KEYS_MAX = 10000,   /* objects asked for in one question */
        LOOKUP_ACCOUNTS_MAX = 256, /* accounts in one question */
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

/* What the answer says of one miss. */
struct lookup_answer {
        size_t miss;      /* in the order of the question, from 0 */
        int64_t accounts; /* how many match */
        bool known;
        struct uuid object; /* where it is known */
};

/* @l must be zeroed before its first use. */
void lookup_begin(struct lookup *l);
void lookup_deinit(struct lookup *l);

/* False, and nothing is added, where the question is full. */
bool lookup_add(struct lookup *l, const struct miss *miss);

/* Also of a question without a miss: whether the server can answer at all. */
void lookup_send(struct lookup *l, struct pg_conn *conn);

/* Reads row @row of the answer to a question of @asked misses; false where it makes no sense. */
bool lookup_answer(const struct pg_result *res, int row, size_t asked, struct lookup_answer *ret);

#endif
