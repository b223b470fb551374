#include "model/ad_account.h"

#include <stdlib.h>

#include "err.h"

const char ad_account_ambiguous_sql[] =
        "SELECT coalesce(bit_xor(hashtextextended(platform || ' ' || external_id, 0)), 0) FROM ("
        "SELECT c.platform::text AS platform, a.external_id FROM ad_accounts a "
        "JOIN platform_connections c ON c.id = a.platform_connection_id GROUP BY 1, 2 HAVING count(*) > 1) AS several";

/* For what stands about planner and arrays at ad_object_lookup_sql and spending_merge_sql. A row that is as
 * given is left alone: ON CONFLICT would lock, and so write, it. */
const char ad_account_upsert_sql[] =
        "WITH given AS MATERIALIZED ("
        "SELECT u.*, (SELECT c.id FROM platform_connections c WHERE c.id = u.connection_id) IS NOT NULL AS known "
        "FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]), "
        "(SELECT $5::text[])) "
        "WITH ORDINALITY AS u (connection_id, external_id, name, currency, timezone, n)"
        "), written AS ("
        "INSERT INTO ad_accounts (platform_connection_id, external_id, name, currency, timezone) "
        "SELECT g.connection_id, g.external_id, g.name, g.currency, g.timezone FROM given g "
        "LEFT JOIN LATERAL (SELECT a.* FROM ad_accounts a "
        "WHERE a.platform_connection_id = g.connection_id AND a.external_id = g.external_id OFFSET 0) a ON true "
        "WHERE g.known AND (a.id IS NULL "
        "OR (a.name, a.currency, a.timezone) IS DISTINCT FROM (g.name, g.currency, g.timezone)) "
        "ORDER BY g.connection_id, g.external_id COLLATE \"C\" "
        "ON CONFLICT (platform_connection_id, external_id) DO UPDATE "
        "SET name = excluded.name, currency = excluded.currency, timezone = excluded.timezone, updated_at = now() "
        "WHERE (ad_accounts.name, ad_accounts.currency, ad_accounts.timezone) "
        "IS DISTINCT FROM (excluded.name, excluded.currency, excluded.timezone) "
        "RETURNING platform_connection_id, external_id, xmax = 0 AS inserted" /* only an update sets xmax */
        ") SELECT min(k.n)::int4, bool_or(k.known), count(*) > count(k.n), bool_or(k.inserted) FROM ("
        "SELECT connection_id, external_id, n, known, false AS inserted FROM given "
        "UNION ALL SELECT platform_connection_id, external_id, NULL, NULL, inserted FROM written"
        ") AS k GROUP BY k.connection_id, k.external_id";

#define SELECT_SQL                                                                                           \
        "SELECT id, platform_connection_id, external_id, name, currency, timezone, created_at, updated_at "  \
        "FROM ad_accounts WHERE "

static const char insert_sql[] =
        "INSERT INTO ad_accounts (platform_connection_id, external_id, name, currency, timezone) "
        "VALUES ($1, $2, $3, $4, $5) RETURNING id";

static const char find_sql[] = SELECT_SQL "id = $1";

static const char find_external_sql[] = SELECT_SQL "platform_connection_id = $1 AND external_id = $2";

int ad_account_insert(struct db *db, const struct ad_account_new *row, struct uuid *ret_id)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, &row->platform_connection_id);
        db_param_text(&params, row->external_id);
        db_param_text(&params, row->name);
        db_param_text(&params, row->currency);
        db_param_text(&params, row->timezone);
        err = db_query_row(db, insert_sql, &params, &res);
        if (err)
                return err;
        *ret_id = db_uuid(res, 0, 0);
        db_result_free(res);
        return 0;
}

static int find(struct db *db, const char *sql, const struct db_params *params, struct ad_account *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, sql, params, &res);

        if (err)
                return err;
        *ret = (struct ad_account){
                .id = db_uuid(res, 0, 0),
                .platform_connection_id = db_uuid(res, 0, 1),
                .external_id = db_text_dup(res, 0, 2),
                .name = db_text_dup(res, 0, 3),
                .currency = db_text_dup(res, 0, 4),
                .timezone = db_text_dup(res, 0, 5),
                .created_at = db_time(res, 0, 6),
                .updated_at = db_time(res, 0, 7),
        };
        db_result_free(res);
        return 0;
}

int ad_account_find(struct db *db, const struct uuid *id, struct ad_account *ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, id);
        return find(db, find_sql, &params, ret);
}

int ad_account_find_external(struct db *db, const struct uuid *platform_connection_id,
                             struct slice external_id, struct ad_account *ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, platform_connection_id);
        db_param_text(&params, external_id);
        return find(db, find_external_sql, &params, ret);
}

void ad_account_deinit(struct ad_account *a)
{
        free(a->external_id);
        free(a->name);
        free(a->currency);
        free(a->timezone);
        *a = (struct ad_account){0};
}
