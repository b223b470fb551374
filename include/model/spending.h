#ifndef MODEL_SPENDING_H
#define MODEL_SPENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/db.h"
#include "slice.h"
#include "uuid.h"

/* What an ad object cost and achieved in a period, as the platform told it at one moment. Functions return 0
 * or a code of enum err, with the reason in @db. */

/* A count that may be unknown (NULL). */
struct spending_count {
        bool known;
        int64_t value;
};

/* A row of spending; owns its strings. Times are microseconds since the Unix epoch. */
struct spending {
        struct uuid id;
        struct uuid ad_object_id;
        int64_t collected_at;
        int64_t period_start;
        int64_t period_end;
        int64_t amount_cents;
        char *currency;
        struct spending_count impressions;
        struct spending_count clicks;
        struct spending_count conversions;
        char *metrics; /* JSON, may be NULL */
};

/* A row to be inserted; borrows everything. */
struct spending_new {
        const struct uuid *id; /* NULL: the database makes one */
        struct uuid ad_object_id;
        const int64_t *collected_at; /* NULL: now */
        int64_t period_start;
        int64_t period_end;
        int64_t amount_cents;
        struct slice currency;
        struct spending_count impressions;
        struct spending_count clicks;
        struct spending_count conversions;
        struct slice metrics; /* JSON; ptr NULL: NULL */
};

/* ERR_EXISTS where (id, collected_at) is there already, ERR_INVALID where there is no such ad object, or
 * metrics is no JSON that jsonb can hold. */
int spending_insert(struct db *db, const struct spending_new *row, struct uuid *ret_id);

struct spending_list {
        struct spending *rows;
        size_t len;
};

/* The rows of one id (one for each collected_at), or the last @limit rows of one ad object; in either case
 * the last collected first, and maybe none. On success *ret is to be freed with spending_list_deinit. */
int spending_find(struct db *db, const struct uuid *id, struct spending_list *ret);
int spending_find_by_ad_object(struct db *db, const struct uuid *ad_object_id, int64_t limit,
                               struct spending_list *ret);

void spending_list_deinit(struct spending_list *list);

/* Starts a binary COPY with the columns in the order of struct spending. */
extern const char spending_copy_sql[];

/* Inserts the rows that are not there yet. Parameters: an array a column, in the same order, then $12 bool[]:
 * whether a row counts as there already when any row of that id is (whatever its collected_at), an earlier
 * one of this statement included. Rows go in by the order of their keys, so that two such statements cannot
 * wait for each other in a circle. Answer: the number, from 1, of each row that was inserted (int4); of
 * several rows with one key the first is. */
extern const char spending_merge_sql[];

#endif
