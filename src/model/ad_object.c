#include "model/ad_object.h"

#include <stdlib.h>

#include "err.h"

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

#define SELECT_SQL                                                                                           \
        "SELECT id, ad_account_id, external_id, type, name, status, parent_id, platform_data::text, "        \
        "created_at, updated_at FROM ad_objects WHERE "

static const char insert_sql[] =
        "INSERT INTO ad_objects (ad_account_id, external_id, type, name, status, parent_id, platform_data) "
        "VALUES ($1, $2, $3::text::ad_object_type, $4, $5::text::ad_object_status, $6, $7::text::jsonb) "
        "RETURNING id";

static const char find_sql[] = SELECT_SQL "id = $1";

static const char find_external_sql[] = SELECT_SQL "ad_account_id = $1 AND external_id = $2";

/* The planner must not choose by what it believes of the tables: they grow from nothing faster than they are
 * analyzed, and a wrong guess reads a million objects. So each key's object is a subquery of its own, which
 * can only be a probe of the unique index; its account comes out of an array rather than a join, an array
 * without NULLs since that is read at any place in the same time; and the arrays of keys are hidden behind a
 * SELECT, as their length times a guessed cost makes the server compile the statement (JIT) for longer than
 * it runs. */
#define ACCOUNTS_SQL                                                                                         \
        "WITH asked AS ("                                                                                    \
        "SELECT u.n, count(a.id) AS matches, (array_agg(a.id))[1] AS id "                                    \
        "FROM unnest($1::text[], $2::uuid[], $3::text[]) "                                                   \
        "WITH ORDINALITY AS u (platform, connection_id, external_id, n) "                                    \
        "LEFT JOIN (ad_accounts a JOIN platform_connections c ON c.id = a.platform_connection_id) "          \
        "ON a.external_id = u.external_id AND c.platform = u.platform::platform "                            \
        "AND (u.connection_id IS NULL OR c.id = u.connection_id) "                                           \
        "GROUP BY u.n"                                                                                       \
        "), account AS MATERIALIZED ("                                                                       \
        "SELECT array_agg(matches ORDER BY n) AS matches, "                                                  \
        "array_agg(CASE WHEN matches = 1 THEN id ELSE '00000000-0000-0000-0000-000000000000' END "           \
        "ORDER BY n) AS ids FROM asked"                                                                      \
        ") "

const char ad_object_lookup_sql[] =
        ACCOUNTS_SQL "SELECT k.n::int4, account.matches[k.account], "
                     "(SELECT o.id FROM ad_objects o "
                     "WHERE o.ad_account_id = account.ids[k.account] AND o.external_id = k.external_id) "
                     "FROM account, unnest((SELECT $4::int4[]), (SELECT $5::text[])) "
                     "WITH ORDINALITY AS k (account, external_id, n)";

/* The subqueries with OFFSET 0 stay probes of an index, for the reasons above. */
const char ad_object_resolve_sql[] = ACCOUNTS_SQL
        "SELECT k.n::int4, account.matches[k.account], account.ids[k.account], o.id, o.type, "
        "o.type::text <> k.type AND (SELECT count(*) FROM ad_objects c WHERE c.parent_id = o.id) > 0, "
        "p.id, p.type "
        "FROM account, unnest((SELECT $4::int4[]), (SELECT $5::text[]), (SELECT $6::text[]), "
        "(SELECT $7::text[])) WITH ORDINALITY AS k (account, external_id, type, parent_external_id, n) "
        "LEFT JOIN LATERAL (SELECT o.id, o.type FROM ad_objects o "
        "WHERE o.ad_account_id = account.ids[k.account] AND o.external_id = k.external_id OFFSET 0) o ON true "
        "LEFT JOIN LATERAL (SELECT p.id, p.type FROM ad_objects p "
        "WHERE p.ad_account_id = account.ids[k.account] AND p.external_id = k.parent_external_id OFFSET 0) p "
        "ON true";

/* An object that is as given is left alone: ON CONFLICT would lock, and so write, it. Objects are written by
 * the order of their keys, so that two such statements cannot wait for each other in a circle. */
const char ad_object_upsert_sql[] =
        "WITH given AS MATERIALIZED ("
        "SELECT u.* FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[]), (SELECT $3::text[]), "
        "(SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::text[]), (SELECT $7::uuid[]), (SELECT $8::jsonb[])) "
        "WITH ORDINALITY "
        "AS u (id, ad_account_id, external_id, type, name, status, parent_id, platform_data, n)"
        "), written AS ("
        "INSERT INTO ad_objects (id, ad_account_id, external_id, type, name, status, parent_id, platform_data) "
        "SELECT g.id, g.ad_account_id, g.external_id, g.type::ad_object_type, g.name, "
        "g.status::ad_object_status, g.parent_id, g.platform_data FROM given g "
        "LEFT JOIN LATERAL (SELECT o.* FROM ad_objects o "
        "WHERE o.ad_account_id = g.ad_account_id AND o.external_id = g.external_id OFFSET 0) o ON true "
        "WHERE o.id IS NULL OR (o.type::text, o.name, o.status::text, o.parent_id, o.platform_data) "
        "IS DISTINCT FROM (g.type, g.name, g.status, g.parent_id, g.platform_data) "
        "ORDER BY g.ad_account_id, g.external_id COLLATE \"C\" "
        "ON CONFLICT (ad_account_id, external_id) DO UPDATE "
        "SET type = excluded.type, name = excluded.name, status = excluded.status, "
        "parent_id = excluded.parent_id, platform_data = excluded.platform_data, updated_at = now() "
        "WHERE (ad_objects.type, ad_objects.name, ad_objects.status, ad_objects.parent_id, "
        "ad_objects.platform_data) IS DISTINCT FROM (excluded.type, excluded.name, excluded.status, "
        "excluded.parent_id, excluded.platform_data) "
        "RETURNING ad_account_id, external_id"
        ") SELECT min(k.n)::int4 FROM ("
        "SELECT ad_account_id, external_id, n FROM given "
        "UNION ALL SELECT ad_account_id, external_id, NULL FROM written"
        ") AS k GROUP BY k.ad_account_id, k.external_id HAVING count(*) > count(k.n)";

const char ad_object_missing_sql[] = "SELECT DISTINCT u.id FROM unnest((SELECT $1::uuid[])) AS u (id) "
                                     "WHERE (SELECT o.id FROM ad_objects o WHERE o.id = u.id) IS NULL";

static bool parse_name(const struct slice *names, size_t len, struct slice text, unsigned *ret)
{
        for (unsigned i = 0; i < len; i++) {
                if (slice_eq(names[i], text)) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

bool ad_object_type_parse(struct slice text, enum ad_object_type *ret)
{
        unsigned i;

        if (!parse_name(types, sizeof(types) / sizeof(types[0]), text, &i))
                return false;
        *ret = (enum ad_object_type)i;
        return true;
}

const char *ad_object_type_name(enum ad_object_type type)
{
        return types[type].ptr;
}

bool ad_object_status_parse(struct slice text, enum ad_object_status *ret)
{
        unsigned i;

        if (!parse_name(statuses, sizeof(statuses) / sizeof(statuses[0]), text, &i))
                return false;
        *ret = (enum ad_object_status)i;
        return true;
}

const char *ad_object_status_name(enum ad_object_status status)
{
        return statuses[status].ptr;
}

int ad_object_insert(struct db *db, const struct ad_object_new *row, struct uuid *ret_id)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, &row->ad_account_id);
        db_param_text(&params, row->external_id);
        db_param_text(&params, slice_str(ad_object_type_name(row->type)));
        db_param_text(&params, row->name);
        db_param_text(&params, slice_str(ad_object_status_name(row->status)));
        db_param_uuid(&params, row->parent_id);
        db_param_text(&params, row->platform_data);
        err = db_query_row(db, insert_sql, &params, &res);
        if (err)
                return err;
        *ret_id = db_uuid(res, 0, 0);
        db_result_free(res);
        return 0;
}

static int read_enums(struct db *db, const struct pg_result *res, struct ad_object *ret)
{
        struct slice type = db_text(res, 0, 3);
        struct slice status = db_text(res, 0, 5);

        if (!ad_object_type_parse(type, &ret->type))
                return db_fail(db, ERR_SCHEMA, "unknown ad object type %s", type.ptr);
        if (!ad_object_status_parse(status, &ret->status))
                return db_fail(db, ERR_SCHEMA, "unknown ad object status %s", status.ptr);
        return 0;
}

static int find(struct db *db, const char *sql, const struct db_params *params, struct ad_object *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, sql, params, &res);

        if (err)
                return err;
        *ret = (struct ad_object){
                .id = db_uuid(res, 0, 0),
                .ad_account_id = db_uuid(res, 0, 1),
                .external_id = db_text_dup(res, 0, 2),
                .name = db_text_dup(res, 0, 4),
                .has_parent = !db_null(res, 0, 6),
                .platform_data = db_text_dup(res, 0, 7),
                .created_at = db_time(res, 0, 8),
                .updated_at = db_time(res, 0, 9),
        };
        if (ret->has_parent)
                ret->parent_id = db_uuid(res, 0, 6);
        err = read_enums(db, res, ret);
        if (err)
                ad_object_deinit(ret);
        db_result_free(res);
        return err;
}

int ad_object_find(struct db *db, const struct uuid *id, struct ad_object *ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, id);
        return find(db, find_sql, &params, ret);
}

int ad_object_find_external(struct db *db, const struct uuid *ad_account_id, struct slice external_id,
                            struct ad_object *ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, ad_account_id);
        db_param_text(&params, external_id);
        return find(db, find_external_sql, &params, ret);
}

void ad_object_deinit(struct ad_object *o)
{
        free(o->external_id);
        free(o->name);
        free(o->platform_data);
        *o = (struct ad_object){0};
}
