#ifndef MODEL_AD_ACCOUNT_H
#define MODEL_AD_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"
#include "model/platform.h"

/* An account at an ad platform, reached through a connection. Functions return 0 or a code of enum err, with
 * the reason in @db. */

/* A row of ad_accounts, with its connection's platform; owns its strings. Times are microseconds since the
 * Unix epoch. */
struct ad_account {
        struct uuid id;
        struct uuid platform_connection_id;
        enum platform platform;
        char *external_id;
        char *name; /* may be NULL */
        char *currency;
        char *timezone;
        int64_t created_at;
        int64_t updated_at;
};

struct ad_account_list {
        struct ad_account *rows;
        size_t len;
};

/* The accounts of an external id: one for each connection that reaches one. @platform and @connection narrow
 * the search where they are not NULL. On success *ret, maybe empty, is to be freed with
 * ad_account_list_deinit. */
int ad_account_find_external(struct db *db, struct slice external_id, const enum platform *platform,
                             const struct uuid *platform_connection_id, struct ad_account_list *ret);

void ad_account_list_deinit(struct ad_account_list *list);

/* For pg_conn: whether what records name has changed. Two int8: one that changes with the set of accounts that
 * several connections of one platform reach, for which a record must name its connection; and how many rows of
 * connections, accounts and objects were updated or deleted since the server began to count, NULL where it does not
 * count. Updates that changed no indexed column of an object, and so not its names, are left out. */
extern const char ad_account_watch_sql[];

/* For pg_conn: inserts accounts, or updates those that differ, by (connection, external id). Parameters: $1
 * uuid[] connections, then text[] external ids, names (may be NULL), currencies, timezones, and the platforms of which
 * the connection must be, with spaces between them (NULL: any); no key twice. One
 * row an account, in their order: its number from 1 (int4), its enum db_write, and two bool: whether there is
 * such a connection (else nothing is written), whether the account is new. Accounts that were written under
 * another key than given come last, without a number. */
extern const char ad_account_upsert_sql[];

/* For pg_conn: commands that insert an ordinary account, update it, and roll that back: a made-up one or,
 * where that fails, one like another that is there, under a new id and name. Where a row fails and this does
 * not, that row is to blame. */
extern const char ad_account_probe_sql[];

/* For pg_conn: as ad_object_unlocked_sql. */
extern const char ad_account_unlocked_sql[];

#endif
