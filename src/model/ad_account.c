#include "model/ad_account.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/memory.h"

/* PostgreSQL makes an update "hot" if it changes no indexed column and the page has room. */
const char ad_account_watch_sql[] =
        "SELECT coalesce(bit_xor(hashtextextended(platform || ' ' || external_id || rows, 0)), 0), "
        "CASE WHEN current_setting('track_counts')::bool THEN ("
        "SELECT sum(pg_stat_get_tuples_updated(t.oid) + pg_stat_get_tuples_deleted(t.oid)"
        " - CASE WHEN t.hot_too THEN 0 ELSE pg_stat_get_tuples_hot_updated(t.oid) END)::int8 "
        "FROM (VALUES ('platform_connections'::regclass, true), ('ad_accounts'::regclass, true), "
        "('ad_objects'::regclass, false)) AS t (oid, hot_too)) END "
        "FROM ("
        "SELECT c.platform::text AS platform, a.external_id, "
        "string_agg(' ' || a.id || ' ' || a.xmin, '' ORDER BY a.id) AS rows FROM ad_accounts a "
        "JOIN platform_connections c ON c.id = a.platform_connection_id GROUP BY 1, 2 HAVING count(*) > 1) AS several";

/* For the planner, arrays and comparisons see ad_object_lookup_sql, spending_merge_sql and
 * ad_object_upsert_sql. Unchanged rows are skipped, since ON CONFLICT would lock them and so write to the
 * page. */
#define COLUMNS(row)                                                                                         \
        "ROW(" row ".external_id::text, " row ".name::text, " row ".currency::text, " row                    \
        ".timezone::text)::record"

#define DIFFERS(row, other) COLUMNS(row) " OPERATOR(pg_catalog.*<>) " COLUMNS(other)

/* clang-format off */
#define UPSERT_SQL \
        "WITH given AS MATERIALIZED (" \
        "SELECT u.*, c.known, " \
        "c.known AND (a.id IS NULL OR " DIFFERS("a", "u") ") AS differs " \
        "FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]), " \
        "(SELECT $5::text[]), (SELECT $6::text[])) " \
        "WITH ORDINALITY AS u (connection_id, external_id, name, currency, timezone, platforms, n) " \
        "CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM platform_connections c WHERE c.id = u.connection_id " \
        "AND (u.platforms IS NULL OR c.platform::text = ANY (string_to_array(u.platforms, ' ')))) AS known " \
        "OFFSET 0) c " \
        "LEFT JOIN LATERAL (SELECT a.* FROM ad_accounts a " \
        "WHERE a.platform_connection_id = u.connection_id AND a.external_id = u.external_id OFFSET 0) a ON true" \
        "), written AS (" \
        "INSERT INTO ad_accounts (platform_connection_id, external_id, name, currency, timezone) " \
        "SELECT g.connection_id, g.external_id, g.name, g.currency, g.timezone FROM given g WHERE g.differs " \
        "ORDER BY g.connection_id, g.external_id COLLATE \"C\" " \
        "ON CONFLICT (platform_connection_id, external_id) DO UPDATE " \
        "SET name = excluded.name, currency = excluded.currency, timezone = excluded.timezone, updated_at = now() " \
        "WHERE " DIFFERS("ad_accounts", "excluded") " " \
        "RETURNING platform_connection_id, external_id, name, currency, timezone, " \
        "xmax = 0 AS inserted" /* only an update sets xmax */ \
        ") SELECT g.n::int4, " DB_WRITE_SQL(DIFFERS("g", "w")) ", g.known, coalesce(w.inserted, false) " \
        "FROM given g FULL JOIN written w ON w.platform_connection_id = g.connection_id " \
        "AND w.external_id::text COLLATE \"C\" = g.external_id COLLATE \"C\" ORDER BY g.n"
/* clang-format on */

const char ad_account_upsert_sql[] = UPSERT_SQL;

const char ad_account_write_prepare_sql[] = "PREPARE " AD_ACCOUNT_UPSERT " AS " UPSERT_SQL "; ";

/* See spending_probe_sql. */
const char ad_account_probe_sql[] = DB_PROBE_LOCKS
        "DO $probe$ DECLARE a record; " DB_PROBE_VARS "BEGIN "
        "FOR a IN SELECT c.id AS connection, likely.* "
        "FROM (SELECT id FROM platform_connections ORDER BY random() LIMIT 8) AS c, "
        "LATERAL (SELECT false AS stored, 'USD' AS currency, 'UTC' AS timezone "
        "UNION ALL (SELECT true, currency, timezone FROM ad_accounts WHERE platform_connection_id = c.id LIMIT 1)"
        ") AS likely ORDER BY likely.stored "
        "LOOP BEGIN "
        "EXECUTE $sql$" UPSERT_SQL
        "$sql$ INTO n, outcome USING ARRAY[a.connection], ARRAY[given], ARRAY[given], "
        "ARRAY[a.currency], ARRAY[a.timezone], ARRAY[NULL::text]; " DB_PROBE_OUTCOME
        "EXECUTE $sql$" UPSERT_SQL
        "$sql$ INTO n, outcome USING ARRAY[a.connection], ARRAY[given], ARRAY['another name'], "
        "ARRAY[a.currency], ARRAY[a.timezone], ARRAY[NULL::text]; " DB_PROBE_OUTCOME
        "SET CONSTRAINTS ALL IMMEDIATE; RETURN; " DB_PROBE_END;

const char ad_account_unlocked_sql[] = DB_PROBE_LOCKS
        "INSERT INTO ad_accounts (platform_connection_id, external_id, name, currency, timezone) "
        "SELECT id, NULL, NULL, NULL, NULL FROM platform_connections WHERE false";

static const char find_external_sql[] =
        "SELECT a.id, a.platform_connection_id, c.platform, a.external_id, a.name, a.currency, a.timezone, "
        "a.created_at, a.updated_at "
        "FROM ad_accounts a JOIN platform_connections c ON c.id = a.platform_connection_id "
        "WHERE a.external_id = $1 AND ($2::text IS NULL OR c.platform = $2::platform) "
        "AND ($3::uuid IS NULL OR c.id = $3) ORDER BY c.platform, a.created_at, a.id";

static int read_row(struct db *db, const struct pg_result *res, int row, struct ad_account *ret)
{
        *ret = (struct ad_account){
                .id = db_uuid(res, row, 0),
                .platform_connection_id = db_uuid(res, row, 1),
                .external_id = db_text_dup(res, row, 3),
                .name = db_text_dup(res, row, 4),
                .currency = db_text_dup(res, row, 5),
                .timezone = db_text_dup(res, row, 6),
                .created_at = db_time(res, row, 7),
                .updated_at = db_time(res, row, 8),
        };
        return platform_read(db, db_text(res, row, 2), &ret->platform);
}

int ad_account_find_external(struct db *db, struct slice external_id, const enum platform *platform,
                             const struct uuid *platform_connection_id, struct ad_account_list *ret)
{
        struct slice platform_text = {NULL, 0};
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        if (platform)
                platform_text = slice_str(platform_name(*platform));
        db_param_text(&params, external_id);
        db_param_text(&params, platform_text);
        db_param_uuid(&params, platform_connection_id);
        err = db_query(db, find_external_sql, &params, &res);
        if (err)
                return err;
        ret->len = (size_t)db_rows(res);
        ret->rows = must_calloc(ret->len + 1, sizeof(*ret->rows));
        for (size_t i = 0; i < ret->len && !err; i++)
                err = read_row(db, res, (int)i, &ret->rows[i]);
        db_result_free(res);
        if (err)
                ad_account_list_deinit(ret);
        return err;
}

void ad_account_list_deinit(struct ad_account_list *list)
{
        for (size_t i = 0; i < list->len; i++) {
                free(list->rows[i].external_id);
                free(list->rows[i].name);
                free(list->rows[i].currency);
                free(list->rows[i].timezone);
        }
        free(list->rows);
        *list = (struct ad_account_list){0};
}
