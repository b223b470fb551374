#include "model/ad_object.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/memory.h"
#include "model/fits_state.h"

static const struct slice types[] = {
#define X(name) {#name, sizeof(#name) - 1},
        AD_OBJECT_TYPE_MAP(X)
#undef X
};

static const struct slice statuses[] = {
#define X(name) {#name, sizeof(#name) - 1},
        AD_OBJECT_STATUS_MAP(X)
#undef X
};

enum {
        TYPES = sizeof(types) / sizeof(types[0]),
        STATUSES = sizeof(statuses) / sizeof(statuses[0]),
};

static const char find_external_sql[] =
        "SELECT id FROM ad_objects WHERE ad_account_id = $1 AND external_id = $2";

/* The objects of "start" (id, depth, path) and all their descendants. A cycle of parents written by another
 * program is cut at a maximum depth. */
#define TREE_SQL                                                                                             \
        "tree (id, depth, path) AS ("                                                                        \
        "SELECT id, depth, path FROM start UNION ALL "                                                       \
        "SELECT o.id, t.depth + 1, t.path || o.external_id "                                                 \
        "FROM tree t JOIN ad_objects o ON o.parent_id = t.id WHERE t.depth < 64"                             \
        ") "

#define NODE_COLUMNS "o.external_id, o.type, o.status, o.name, count(s.id), max(s.collected_at)"

static const char tree_sql[] =
        "WITH RECURSIVE start (id, depth, path) AS ("
        "SELECT id, 0::int8, ARRAY[external_id] FROM ad_objects WHERE ad_account_id = $1 AND parent_id IS NULL"
        "), " TREE_SQL "SELECT t.depth, " NODE_COLUMNS " FROM tree t JOIN ad_objects o ON o.id = t.id "
        "LEFT JOIN spending s ON s.ad_object_id = o.id GROUP BY t.depth, t.path, o.id ORDER BY t.path";

static const char lineage_sql[] =
        "WITH RECURSIVE up (id, parent_id, n) AS ("
        "SELECT id, parent_id, 0 FROM ad_objects WHERE id = $1 UNION ALL "
        "SELECT o.id, o.parent_id, u.n + 1 FROM up u JOIN ad_objects o ON o.id = u.parent_id WHERE u.n < 64"
        "), above (id, n, depth) AS ("
        "SELECT id, n, (max(n) OVER () - n)::int8 FROM up"
        "), start (id, depth, path) AS ("
        "SELECT id, depth, ARRAY[]::text[] FROM above WHERE n = 0"
        "), " TREE_SQL ", nodes AS ("
        "SELECT id, depth, path FROM tree UNION ALL SELECT id, depth, NULL FROM above WHERE n > 0"
        ") SELECT n.depth, " NODE_COLUMNS " FROM nodes n JOIN ad_objects o ON o.id = n.id "
        "LEFT JOIN spending s ON s.ad_object_id = o.id "
        "GROUP BY n.depth, n.path, o.id ORDER BY n.path NULLS FIRST, n.depth";

/* The planner must not rely on table statistics: the tables grow faster than they are analyzed, and a wrong
 * estimate reads a million objects. Therefore each key's object is a subquery of its own, which can only be
 * a lookup in the unique index. Its account comes from an array instead of a join; an array without NULLs
 * has constant access time. The arrays of keys are hidden behind a SELECT: otherwise their length times a
 * guessed cost makes the server compile the statement (JIT) for longer than it runs. */
#define ACCOUNTS_FROM_SQL(accounts)                                                                          \
        "WITH asked AS ("                                                                                    \
        "SELECT u.n, count(a.id) AS matches, "                                                               \
        "(array_agg(a.id) FILTER (WHERE a.id IS NOT NULL))[1] AS id "                                        \
        "FROM " accounts " GROUP BY u.n"                                                                     \
        "), account AS MATERIALIZED ("                                                                       \
        "SELECT array_agg(matches ORDER BY n) AS matches, "                                                  \
        "array_agg(CASE WHEN matches = 1 THEN id ELSE '00000000-0000-0000-0000-000000000000' END "           \
        "ORDER BY n) AS ids FROM asked"                                                                      \
        ") "

#define PLACES                                                                                               \
        "unnest($1::text[], $2::uuid[], $3::text[], $4::int4[]) AS u (platform, connection_id, external_id, n)"

/* For many places: one join with all accounts. */
#define ACCOUNTS_SQL                                                                                         \
        ACCOUNTS_FROM_SQL(PLACES " LEFT JOIN (ad_accounts a JOIN platform_connections c "                    \
                                 "ON c.id = a.platform_connection_id) "                                      \
                                 "ON a.external_id = u.external_id AND c.platform = u.platform::platform "   \
                                 "AND (u.connection_id IS NULL OR c.id = u.connection_id)")

/* For few places: each account is looked up by itself, by an index where the connection is known. */
#define ACCOUNT_OF_PLACE(connection)                                                                         \
        "SELECT a.id FROM ad_accounts a JOIN platform_connections c ON c.id = a.platform_connection_id "     \
        "WHERE a.external_id = u.external_id AND c.platform = u.platform::platform AND " connection
#define ACCOUNTS_OF_FEW_SQL                                                                                                           \
        ACCOUNTS_FROM_SQL(                                                                                                            \
                PLACES                                                                                                                \
                " LEFT JOIN LATERAL (" ACCOUNT_OF_PLACE("a.platform_connection_id = u.connection_id") " UNION ALL " ACCOUNT_OF_PLACE( \
                        "u.connection_id IS NULL") ") AS a ON true")

#define KEYS_SQL(check)                                                                                      \
        "SELECT k.n::int4, account.matches[k.account], "                                                     \
        "(SELECT o.id FROM ad_objects o "                                                                    \
        "WHERE o.ad_account_id = account.ids[k.account] AND o.external_id = k.external_id) "                 \
        "FROM " check "account, unnest((SELECT $5::int4[]), (SELECT $6::text[])) "                           \
        "WITH ORDINALITY AS k (account, external_id, n)"

/* The tables are locked before the statement's snapshot is taken: what changes them is seen by the check, or waits. */
#define CHECK_SQL                                                                                            \
        ", changed AS MATERIALIZED (SELECT count(error.text) FROM (" FITS_CHANGED_SQL ") AS error (text)) "
#define CHECKED_KEYS CHECK_SQL KEYS_SQL("changed, ")

const char ad_object_lookup_sql[] = ACCOUNTS_SQL KEYS_SQL("");
const char ad_object_lookup_many_sql[] = ACCOUNTS_SQL CHECKED_KEYS;
const char ad_object_lookup_prepare_sql[] =
        "PREPARE " AD_OBJECT_LOOKUP " AS " ACCOUNTS_OF_FEW_SQL CHECKED_KEYS "; ";

/* For planner and arrays see ad_object_lookup_sql. */
const char ad_object_names_sql[] =
        "SELECT u.n::int4, c.platform::text, c.id, a.external_id, o.external_id "
        "FROM unnest((SELECT $1::uuid[])) WITH ORDINALITY AS u (id, n) "
        "CROSS JOIN LATERAL (SELECT o.ad_account_id, o.external_id FROM ad_objects o WHERE o.id = u.id OFFSET 0) o "
        "CROSS JOIN LATERAL (SELECT a.platform_connection_id, a.external_id FROM ad_accounts a "
        "WHERE a.id = o.ad_account_id OFFSET 0) a "
        "CROSS JOIN LATERAL (SELECT c.id, c.platform FROM platform_connections c "
        "WHERE c.id = a.platform_connection_id OFFSET 0) c";

/* Values are compared byte for byte (*<>, "record image" operators): jsonb treats 1 and 1.00 as equal, and a
 * column's collation may treat more as equal. */
#define COLUMNS(row)                                                                                         \
        row ".external_id::text, " row ".type::text, " row ".name::text, " row ".status::text, " row         \
            ".platform_data::jsonb"

#define DIFFERS(columns, others) "ROW(" columns ")::record OPERATOR(pg_catalog.*<>) ROW(" others ")::record"

/* OFFSET 0 keeps the subqueries index lookups, for the reasons given at ad_object_lookup_sql. The arrays are unnested in
 * the SELECT list, since in FROM the server would copy each into a tuple store first. */
/* clang-format off */
#define RESOLVE_SQL \
        "SELECT k.n, account.matches[k.account], account.ids[k.account], o.id, o.type, " \
        "CASE WHEN o.type::text <> k.type " \
        "THEN (SELECT count(*) FROM ad_objects c WHERE c.parent_id = o.id) ELSE 0 END, o.parent_id, " \
        "p.id, p.type, o.differs " \
        "FROM account, (SELECT unnest((SELECT $5::int4[])) AS account, unnest((SELECT $6::text[])) AS external_id, " \
        "unnest((SELECT $7::text[])) AS type, unnest((SELECT $8::text[])) AS parent_external_id, " \
        "unnest((SELECT $9::text[])) AS name, unnest((SELECT $10::text[])) AS status, " \
        "unnest((SELECT $11::jsonb[])) AS platform_data, unnest((SELECT $12::int4[])) AS n) AS k " \
        "LEFT JOIN LATERAL (SELECT o.id, o.type, o.parent_id, " DIFFERS(COLUMNS("o"), COLUMNS("k")) " AS differs " \
        "FROM ad_objects o " \
        "WHERE o.ad_account_id = account.ids[k.account] AND o.external_id = k.external_id OFFSET 0) o ON true " \
        "LEFT JOIN LATERAL (SELECT p.id, p.type FROM ad_objects p " \
        "WHERE p.ad_account_id = account.ids[k.account] AND p.external_id = k.parent_external_id OFFSET 0) p ON true"
/* clang-format on */

const char ad_object_resolve_sql[] = ACCOUNTS_SQL RESOLVE_SQL;

#define WRITTEN(row) COLUMNS(row) ", " row ".parent_id"

/* The caller gives only new and changed objects, so that each given row differs. Objects are written in key
 * order, so that two such statements cannot deadlock. The FULL JOIN, which cannot
 * become a nested loop, also returns rows that were written under a key that was not given. */
/* clang-format off */
#define UPSERT_SQL \
        "WITH given AS MATERIALIZED (" \
        "SELECT u.*, true AS differs " \
        "FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[]), (SELECT $3::text[]), " \
        "(SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::text[]), (SELECT $7::uuid[]), (SELECT $8::jsonb[])) " \
        "WITH ORDINALITY " \
        "AS u (id, ad_account_id, external_id, type, name, status, parent_id, platform_data, n)" \
        "), written AS (" \
        "INSERT INTO ad_objects (id, ad_account_id, external_id, type, name, status, parent_id, platform_data) " \
        "SELECT g.id, g.ad_account_id, g.external_id, g.type::ad_object_type, g.name, " \
        "g.status::ad_object_status, g.parent_id, g.platform_data FROM given g " \
        "ORDER BY g.ad_account_id, g.external_id COLLATE \"C\" " \
        "ON CONFLICT (ad_account_id, external_id) DO UPDATE " \
        "SET type = excluded.type, name = excluded.name, status = excluded.status, " \
        "parent_id = excluded.parent_id, platform_data = excluded.platform_data, updated_at = now() " \
        "WHERE " DIFFERS(WRITTEN("ad_objects"), WRITTEN("excluded")) " " \
        "RETURNING ad_account_id, external_id, type, name, status, parent_id, platform_data" \
        ") SELECT g.n::int4, " DB_WRITE_SQL(DIFFERS(WRITTEN("g"), WRITTEN("w"))) " " \
        "FROM given g FULL JOIN written w ON w.ad_account_id = g.ad_account_id " \
        "AND w.external_id::text COLLATE \"C\" = g.external_id COLLATE \"C\" ORDER BY g.n"
/* clang-format on */

const char ad_object_upsert_sql[] = UPSERT_SQL;

const char ad_object_write_prepare_sql[] = "PREPARE " AD_OBJECT_RESOLVE " AS " ACCOUNTS_OF_FEW_SQL RESOLVE_SQL
                                           "; PREPARE " AD_OBJECT_UPSERT " AS " UPSERT_SQL "; ";

/* See spending_probe_sql. */
const char ad_object_probe_sql[] = DB_PROBE_LOCKS
        "DO $probe$ DECLARE o record; " DB_PROBE_VARS "BEGIN "
        "PERFORM '{META,GOOGLE_ADS,TIKTOK}'::platform[], '{CAMPAIGN,AD_SET,AD}'::ad_object_type[], "
        "'{ACTIVE,PAUSED,ARCHIVED,DELETED}'::ad_object_status[], "
        "(SELECT c.platform FROM ad_accounts a JOIN platform_connections c ON c.id = a.platform_connection_id LIMIT 1); "
        "FOR o IN SELECT a.id AS account, likely.* "
        "FROM (SELECT id FROM ad_accounts ORDER BY random() LIMIT 8 FOR KEY SHARE SKIP LOCKED) AS a, "
        "LATERAL (SELECT false AS stored, 'CAMPAIGN'::ad_object_type AS type, 'PAUSED'::ad_object_status AS status, "
        "NULL::uuid AS parent_id, '{}'::jsonb AS platform_data "
        "UNION ALL (SELECT true, type, status, parent_id, platform_data FROM ad_objects "
        "WHERE ad_account_id = a.id LIMIT 1)"
        ") AS likely ORDER BY likely.stored "
        "LOOP BEGIN "
        "EXECUTE $sql$" UPSERT_SQL "$sql$ INTO n, outcome USING ARRAY[gen_random_uuid()], ARRAY[o.account], "
        "ARRAY[given], ARRAY[o.type::text], ARRAY[given], ARRAY[o.status::text], ARRAY[o.parent_id], "
        "ARRAY[o.platform_data]; " DB_PROBE_OUTCOME "EXECUTE $sql$" UPSERT_SQL
        "$sql$ INTO n, outcome USING ARRAY[gen_random_uuid()], ARRAY[o.account], "
        "ARRAY[given], ARRAY[o.type::text], ARRAY['another name'], ARRAY[o.status::text], ARRAY[o.parent_id], "
        "ARRAY[o.platform_data]; " DB_PROBE_OUTCOME "SET CONSTRAINTS ALL IMMEDIATE; RETURN; " DB_PROBE_END;

const char ad_object_unlocked_sql[] = DB_PROBE_LOCKS
        "INSERT INTO ad_objects (ad_account_id, external_id, type, name, status, parent_id, platform_data) "
        "SELECT id, NULL, NULL::ad_object_type, NULL, NULL::ad_object_status, NULL::uuid, NULL::jsonb FROM ad_accounts WHERE false";

const char ad_object_missing_sql[] = "SELECT DISTINCT u.id FROM unnest((SELECT $1::uuid[])) AS u (id) "
                                     "WHERE (SELECT o.id FROM ad_objects o WHERE o.id = u.id) IS NULL";

const char ad_object_locked_sql[] =
        "SELECT DISTINCT u.id FROM unnest((SELECT $1::uuid[])) AS u (id) "
        "LEFT JOIN LATERAL (SELECT o.id FROM ad_objects o WHERE o.id = u.id FOR KEY SHARE SKIP LOCKED) AS free ON true "
        "WHERE free.id IS NULL AND (SELECT o.id FROM ad_objects o WHERE o.id = u.id) IS NOT NULL";

bool ad_object_type_parse(struct slice text, enum ad_object_type *ret)
{
        size_t i = slice_find(types, TYPES, text);

        if (i < TYPES)
                *ret = (enum ad_object_type)i;
        return i < TYPES;
}

const char *ad_object_type_name(enum ad_object_type type)
{
        return types[type].ptr;
}

bool ad_object_status_parse(struct slice text, enum ad_object_status *ret)
{
        size_t i = slice_find(statuses, STATUSES, text);

        if (i < STATUSES)
                *ret = (enum ad_object_status)i;
        return i < STATUSES;
}

const char *ad_object_status_name(enum ad_object_status status)
{
        return statuses[status].ptr;
}

int ad_object_find_external(struct db *db, const struct uuid *ad_account_id, struct slice external_id,
                            struct uuid *ret_id)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, ad_account_id);
        db_param_text(&params, external_id);
        err = db_query_row(db, find_external_sql, &params, &res);
        if (err)
                return err;
        *ret_id = db_uuid(res, 0, 0);
        db_result_free(res);
        return 0;
}

static int read_node(struct db *db, const struct pg_result *res, int row, struct ad_object_node *ret)
{
        struct slice type = db_text(res, row, 2);
        struct slice status = db_text(res, row, 3);

        *ret = (struct ad_object_node){
                .depth = db_i64(res, row, 0),
                .external_id = db_text_dup(res, row, 1),
                .name = db_text_dup(res, row, 4),
                .records = db_i64(res, row, 5),
                .last_collected_at = db_null(res, row, 6) ? 0 : db_time(res, row, 6),
        };
        if (!ad_object_type_parse(type, &ret->type))
                return db_fail(db, ERR_SCHEMA, "unknown ad object type %s", type.ptr);
        if (!ad_object_status_parse(status, &ret->status))
                return db_fail(db, ERR_SCHEMA, "unknown ad object status %s", status.ptr);
        return 0;
}

static int list_nodes(struct db *db, const char *sql, const struct uuid *id, struct ad_object_list *ret)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, id);
        err = db_query(db, sql, &params, &res);
        if (err)
                return err;
        ret->len = (size_t)db_rows(res);
        ret->rows = must_calloc(ret->len + 1, sizeof(*ret->rows));
        for (size_t i = 0; i < ret->len && !err; i++)
                err = read_node(db, res, (int)i, &ret->rows[i]);
        db_result_free(res);
        if (err)
                ad_object_list_deinit(ret);
        return err;
}

int ad_object_tree(struct db *db, const struct uuid *ad_account_id, struct ad_object_list *ret)
{
        return list_nodes(db, tree_sql, ad_account_id, ret);
}

int ad_object_lineage(struct db *db, const struct uuid *id, struct ad_object_list *ret)
{
        return list_nodes(db, lineage_sql, id, ret);
}

void ad_object_list_deinit(struct ad_object_list *list)
{
        for (size_t i = 0; i < list->len; i++) {
                free(list->rows[i].external_id);
                free(list->rows[i].name);
        }
        free(list->rows);
        *list = (struct ad_object_list){0};
}
