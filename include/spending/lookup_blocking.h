#ifndef LOOKUP_BLOCKING_H
#define LOOKUP_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/array_text.h"
#include "model/db.h"
#include "spending/spending_record.h"

/* Looks up the ad objects of records on a blocking connection, with the resolver's statement. */

enum { LOOKUP_BLOCKING_PARAMS = 6 };

/* Zeroed before the first use. */
struct lookup_blocking {
        struct array_text params[LOOKUP_BLOCKING_PARAMS];
        struct spending_record last; /* the latest one added; slices point into its line */
        int accounts;
        size_t len;
};

/* The result for the @record-th record added, from 0. */
typedef void lookup_blocking_cb(void *ctx, size_t record, int64_t accounts, const struct uuid *object);

/* Adds a record; its line must stay valid until lookup_blocking_run. */
void lookup_blocking_add(struct lookup_blocking *l, const struct spending_record *rec);

/* Calls @cb for each added record with the number of matching accounts, and the object or NULL; then forgets
 * the records. Returns 0 or an error of @db. */
int lookup_blocking_run(struct lookup_blocking *l, struct db *db, lookup_blocking_cb *cb, void *ctx);

void lookup_blocking_deinit(struct lookup_blocking *l);

#endif
