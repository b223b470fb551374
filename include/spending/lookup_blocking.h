#ifndef LOOKUP_BLOCKING_H
#define LOOKUP_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/array_text.h"
#include "model/db.h"
#include "spending/spending_record.h"

/* Asks a blocking connection for the ad objects of records, by the resolver's statement. */

enum { LOOKUP_BLOCKING_PARAMS = 6 };

/* Zeroed before the first use. */
struct lookup_blocking {
        struct array_text params[LOOKUP_BLOCKING_PARAMS];
        struct spending_record last; /* the one that was added last; slices borrow its line */
        int accounts;
        size_t len;
};

/* What is known of the @record-th record that was added, from 0. */
typedef void lookup_blocking_cb(void *ctx, size_t record, int64_t accounts, const struct uuid *object);

/* Adds a record; its line must stay until the lookup is run. */
void lookup_blocking_add(struct lookup_blocking *l, const struct spending_record *rec);

/* Calls @cb for each record that was added, with the number of accounts that match, and the object, or NULL. Nothing is added
 * afterwards. 0 or an error of @db. */
int lookup_blocking_run(struct lookup_blocking *l, struct db *db, lookup_blocking_cb *cb, void *ctx);

void lookup_blocking_deinit(struct lookup_blocking *l);

#endif
