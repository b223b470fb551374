#ifndef MODEL_AD_ACCOUNT_H
#define MODEL_AD_ACCOUNT_H

#include <stdint.h>

#include "model/db.h"
#include "slice.h"
#include "uuid.h"

/* An account at an ad platform, reached through a connection. Functions return 0 or a code of enum err, with
 * the reason in @db. */

/* A row of ad_accounts; owns its strings. Times are microseconds since the Unix epoch. */
struct ad_account {
        struct uuid id;
        struct uuid platform_connection_id;
        char *external_id;
        char *name; /* may be NULL */
        char *currency;
        char *timezone;
        int64_t created_at;
        int64_t updated_at;
};

/* A row to be inserted; borrows everything. */
struct ad_account_new {
        struct uuid platform_connection_id;
        struct slice external_id;
        struct slice name; /* ptr NULL: NULL */
        struct slice currency;
        struct slice timezone;
};

/* ERR_EXISTS where the connection has an account of that external id, ERR_INVALID where there is no
 * connection. */
int ad_account_insert(struct db *db, const struct ad_account_new *row, struct uuid *ret_id);

/* ERR_NOT_FOUND where there is none. On success *ret is to be freed with ad_account_deinit. */
int ad_account_find(struct db *db, const struct uuid *id, struct ad_account *ret);
int ad_account_find_external(struct db *db, const struct uuid *platform_connection_id,
                             struct slice external_id, struct ad_account *ret);

void ad_account_deinit(struct ad_account *a);

/* For pg_conn: one int8 that changes with the set of accounts that several connections of one platform reach,
 * for which a record must name its connection. */
extern const char ad_account_ambiguous_sql[];

/* For pg_conn: inserts accounts, or updates those that differ, by (connection, external id). Parameters: $1
 * uuid[] connections, then text[] external ids, names (may be NULL), currencies, timezones; no key twice. One
 * row a key, in any order: its number from 1 (int4), and three bool: whether there is such a connection,
 * whether something was written, whether the account is new. */
extern const char ad_account_upsert_sql[];

#endif
