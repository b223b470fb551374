#ifndef MODEL_AD_ACCOUNT_H
#define MODEL_AD_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"
#include "model/platform.h"

/* Ad accounts: accounts at an ad platform, each reached through a platform connection. Functions return 0 or
 * a code of enum err, with the reason in @db. */

/* A row of ad_accounts, with its connection's platform. Owns its strings. Times are microseconds since the
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

/* Finds the accounts with an external id: one per connection that reaches one. @platform and @connection
 * narrow the search unless NULL. On success the caller frees *ret, which may be empty, with
 * ad_account_list_deinit. */
int ad_account_find_external(struct db *db, struct slice external_id, const enum platform *platform,
                             const struct uuid *platform_connection_id, struct ad_account_list *ret);

void ad_account_list_deinit(struct ad_account_list *list);

/* For pg_conn: two int8 that show whether the names in records may now mean other objects. The first is a hash of the
 * accounts that several connections of one platform reach (records must name the connection of these), with the versions
 * of their rows: so it differs even if an account leaves this set and comes back between two looks. The second counts
 * updated or deleted rows of connections, accounts and objects since the server's statistics began, without updates that
 * changed no indexed column of an object and so not its names; NULL if the server does not count. */
extern const char ad_account_watch_sql[];

/* For pg_conn: inserts accounts, or updates those that differ, by (connection, external id). Parameters: $1
 * uuid[] connections, then text[] external ids, names (may be NULL), currencies, timezones, and the permitted
 * platforms of the connection, separated by blanks (NULL: any); no key twice. One
 * row an account, in their order: its number from 1 (int4), its enum db_write, and two bool: whether there is
 * such a connection (else nothing is written), whether the account is new. Accounts that were written under
 * another key than given come last, without a number. */
extern const char ad_account_upsert_sql[];

/* Prepares it as AD_ACCOUNT_UPSERT. */
#define AD_ACCOUNT_UPSERT "boris_ingestd_upsert_accounts"
extern const char ad_account_write_prepare_sql[];

/* For pg_conn: a probe that inserts an ordinary account, updates it, and rolls back. The account is made up;
 * if that fails, it is a copy of a stored account under a new id and name. If a row fails and the probe
 * succeeds, the row is at fault. */
extern const char ad_account_probe_sql[];

/* For pg_conn: as ad_object_unlocked_sql, for accounts. */
extern const char ad_account_unlocked_sql[];

#endif
