#include "model/fits.h"

#include <stdio.h>
#include <string.h>

#include "model/fits_state.h"

/* Each of the following selects returns one row per thing that does not fit: its rank (ten times enum
 * fits_subject, plus the order of reporting), the difference, the remedy. Names are looked up in schema
 * public, whatever the search path. OFFSET 0 keeps the planner from reading whole catalogues, which grow
 * with the number of chunks. */

#define RELATIONS                                                                                            \
        "relation (name, id) AS MATERIALIZED ("                                                              \
        "SELECT name, to_regclass('public.' || name)::oid "                                                  \
        "FROM (VALUES ('platform_connections'), ('ad_accounts'), ('ad_objects'), ('spending')) AS v (name)"  \
        "), there AS MATERIALIZED (SELECT r.name, r.id, c.relkind, c.relpersistence FROM relation r, "       \
        "LATERAL (SELECT relkind, relpersistence FROM pg_class WHERE oid = r.id OFFSET 0) AS c)"

/* Columns that the daemon reads or writes. @fallback: the default required of a column that the daemon does
 * not write. */
#define TIME "timestamp with time zone"
#define COLUMNS                                                                                                \
        "wanted (relation, name, type, fallback) AS (VALUES "                                                  \
        "('platform_connections', 'id', 'uuid', ''), "                                                         \
        "('platform_connections', 'platform', 'public.platform', ''), "                                        \
        "('platform_connections', 'credentials', 'jsonb', ''), "                                               \
        "('platform_connections', 'created_at', '" TIME "', ''), "                                             \
        "('platform_connections', 'updated_at', '" TIME "', ''), "                                             \
        "('ad_accounts', 'id', 'uuid', 'gen_random_uuid()'), "                                                 \
        "('ad_accounts', 'platform_connection_id', 'uuid', ''), "                                              \
        "('ad_accounts', 'external_id', 'text', ''), "                                                         \
        "('ad_accounts', 'name', 'text', ''), "                                                                \
        "('ad_accounts', 'currency', 'text', ''), "                                                            \
        "('ad_accounts', 'timezone', 'text', ''), "                                                            \
        "('ad_accounts', 'created_at', '" TIME "', 'now()'), "                                                 \
        "('ad_accounts', 'updated_at', '" TIME "', 'now()'), "                                                 \
        "('ad_objects', 'id', 'uuid', ''), "                                                                   \
        "('ad_objects', 'ad_account_id', 'uuid', ''), "                                                        \
        "('ad_objects', 'external_id', 'text', ''), "                                                          \
        "('ad_objects', 'type', 'public.ad_object_type', ''), "                                                \
        "('ad_objects', 'name', 'text', ''), "                                                                 \
        "('ad_objects', 'status', 'public.ad_object_status', ''), "                                            \
        "('ad_objects', 'parent_id', 'uuid', ''), "                                                            \
        "('ad_objects', 'platform_data', 'jsonb', ''), "                                                       \
        "('ad_objects', 'created_at', '" TIME "', 'now()'), "                                                  \
        "('ad_objects', 'updated_at', '" TIME "', 'now()'), "                                                  \
        "('spending', 'id', 'uuid', ''), "                                                                     \
        "('spending', 'ad_object_id', 'uuid', ''), "                                                           \
        "('spending', 'collected_at', '" TIME "', ''), "                                                       \
        "('spending', 'period_start', '" TIME "', ''), "                                                       \
        "('spending', 'period_end', '" TIME "', ''), "                                                         \
        "('spending', 'amount_cents', 'bigint', ''), "                                                         \
        "('spending', 'currency', 'text', ''), "                                                               \
        "('spending', 'impressions', 'bigint', ''), "                                                          \
        "('spending', 'clicks', 'bigint', ''), "                                                               \
        "('spending', 'conversions', 'bigint', ''), "                                                          \
        "('spending', 'metrics', 'jsonb', '')), "                                                              \
        "present AS MATERIALIZED ("                                                                            \
        "SELECT r.name AS relation, a.attname::text AS name, a.atttypid AS type_id, a.atttypmod AS modifier, " \
        "a.attgenerated <> '' AS generated, a.attidentity = 'a' AS identity, "                                 \
        "CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation END AS collation, "                    \
        "(a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND t.typdefault IS NULL "                         \
        "AND a.attidentity = '' AS required "                                                                  \
        "FROM there r JOIN pg_attribute a ON a.attrelid = r.id AND a.attnum > 0 AND NOT a.attisdropped "       \
        "JOIN pg_type t ON t.oid = a.atttypid)"

#define SERVER_SQL                                                                                             \
        "SELECT 20, format('PostgreSQL %s is too old', current_setting('server_version')), "                   \
        "'use version " FITS_POSTGRESQL_MIN " or later' "                                                      \
        "WHERE current_setting('server_version_num')::int < " FITS_POSTGRESQL_MIN " * 10000 "                  \
        "UNION ALL SELECT 20, format('TimescaleDB %s is too old', extversion), "                               \
        "'update to " FITS_TIMESCALEDB_MIN " or later, then ALTER EXTENSION timescaledb UPDATE' "              \
        "FROM pg_extension WHERE extname = 'timescaledb' "                                                     \
        "AND regexp_replace(extversion, '[^0-9.].*', '') <> '' "                                               \
        "AND (string_to_array(regexp_replace(extversion, '[^0-9.].*', ''), '.')::int[])[1:2] "                 \
        "< string_to_array('" FITS_TIMESCALEDB_MIN "', '.')::int[] "                                           \
        "UNION ALL SELECT 10, format('the database''s encoding is %s, not UTF8', getdatabaseencoding()), "     \
        "'create a database with ENCODING ''UTF8'' TEMPLATE template0' WHERE getdatabaseencoding() <> 'UTF8' " \
        "UNION ALL SELECT 10, 'the server is read-only (a standby?)', "                                        \
        "'let database.url point to the primary, or turn default_transaction_read_only off' "                  \
        "WHERE current_setting('transaction_read_only') = 'on' "

/* A restore sets timescaledb.restoring for later sessions only, not for this one. */
#define RESTORE_SQL                                                                                          \
        "UNION ALL SELECT 30, 'a restore is in progress: timescaledb.restoring is on', "                     \
        "'SELECT timescaledb_post_restore() when it is complete' "                                           \
        "WHERE current_setting('timescaledb.restoring', true) = 'on' "                                       \
        "OR EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setdatabase IN "                                \
        "(SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND s.setrole = 0 "          \
        "AND array_to_string(s.setconfig, ' ') ~* '\\mtimescaledb\\.restoring=(on|true|yes|1)\\M') "         \
        "UNION ALL SELECT 30, 'TimescaleDB is not loaded in this session', "                                 \
        "format('ALTER ROLE %I RESET timescaledb.disable_load', session_user) "                              \
        "WHERE current_setting('timescaledb.restoring', true) IS NULL "

/* What session_setup_sql sets, and what this role may not set. */
#define SESSION_SQL                                                                                          \
        "UNION ALL SELECT 30, format('%s is %s for this session', s.name, current_setting(s.name)), "        \
        "format('ALTER ROLE %I RESET %I', session_user, s.reset) "                                           \
        "FROM (VALUES ('session_replication_role', 'origin', 'session_replication_role'), "                  \
        "('transaction_isolation', 'read committed', 'default_transaction_isolation')) "                     \
        "AS s (name, value, reset) WHERE current_setting(s.name) <> s.value "                                \
        "UNION ALL SELECT 30, 'synchronous_commit is off for this session', "                                \
        "format('ALTER ROLE %I RESET synchronous_commit', session_user) "                                    \
        "WHERE current_setting('synchronous_commit') = 'off' "

#define TABLES_SQL                                                                                              \
        "UNION ALL (SELECT 40, 'tables are missing', 'run boris-ingestd migrate' "                              \
        "FROM relation WHERE id IS NULL LIMIT 1) "                                                              \
        "UNION ALL (SELECT 30, 'search_path: the tables of schema public are not found first', "                \
        "format('ALTER ROLE %I SET search_path = public', session_user) "                                       \
        "FROM there WHERE to_regclass(name)::oid IS DISTINCT FROM id LIMIT 1) "                                 \
        "UNION ALL SELECT 50, format('%s is %s, not a table', r.name, CASE r.relkind WHEN 'v' THEN 'a view' "   \
        "WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table' ELSE 'a partitioned table' END), " \
        "format('ALTER %s public.%I RENAME TO something else, then run boris-ingestd migrate', "                \
        "CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' "                                \
        "WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, r.name) "                                              \
        "FROM there r WHERE r.relkind <> 'r' "                                                                  \
        "UNION ALL SELECT 50, format('%s is unlogged: a crash of the server empties it', r.name), "             \
        "format('ALTER TABLE public.%I SET LOGGED', r.name) "                                                   \
        "FROM there r WHERE r.relkind = 'r' AND r.relpersistence <> 'p' "

#define COLUMNS_SQL                                                                                                \
        "UNION ALL SELECT 51, format('column %s.%s is missing', w.relation, w.name), "                             \
        "format('ALTER TABLE public.%I ADD COLUMN %I %s', w.relation, w.name, w.type) "                            \
        "FROM wanted w JOIN there r ON r.name = w.relation "                                                       \
        "WHERE NOT EXISTS (SELECT FROM present p WHERE p.relation = w.relation AND p.name = w.name) "              \
        "UNION ALL SELECT 51, format('column %s.%s is %s instead of %s', w.relation, w.name, "                     \
        "format_type(p.type_id, p.modifier) || coalesce(' COLLATE ' || p.collation::regcollation, ''), "           \
        "replace(w.type, 'public.', '')), "                                                                        \
        "format('ALTER TABLE public.%1$I ALTER COLUMN %2$I TYPE %3$s USING %2$I::%3$s', "                          \
        "w.relation, w.name, w.type) "                                                                             \
        "FROM wanted w JOIN present p ON p.relation = w.relation AND p.name = w.name "                             \
        "WHERE p.type_id IS DISTINCT FROM to_regtype(w.type)::oid OR p.modifier <> -1 OR p.collation IS NOT NULL " \
        "UNION ALL SELECT 51, format('column %s.%s is generated', w.relation, w.name), "                           \
        "format('ALTER TABLE public.%I ALTER COLUMN %I DROP EXPRESSION', w.relation, w.name) "                     \
        "FROM wanted w JOIN present p ON p.relation = w.relation AND p.name = w.name WHERE p.generated "           \
        "UNION ALL SELECT 51, format('column %s.%s is GENERATED ALWAYS AS IDENTITY', w.relation, w.name), "        \
        "format('ALTER TABLE public.%I ALTER COLUMN %I DROP IDENTITY', w.relation, w.name) "                       \
        "FROM wanted w JOIN present p ON p.relation = w.relation AND p.name = w.name WHERE p.identity "            \
        "UNION ALL SELECT 51, format('column %s.%s is NOT NULL and has no default', p.relation, p.name), "         \
        "CASE WHEN w.fallback <> '' THEN "                                                                         \
        "format('ALTER TABLE public.%I ALTER COLUMN %I SET DEFAULT %s', p.relation, p.name, w.fallback) "          \
        "ELSE format('ALTER TABLE public.%I ALTER COLUMN %I DROP NOT NULL, or SET DEFAULT ...', "                  \
        "p.relation, p.name) END "                                                                                 \
        "FROM present p LEFT JOIN wanted w ON w.relation = p.relation AND w.name = p.name "                        \
        "WHERE p.required AND w.fallback IS DISTINCT FROM '' "

/* A key is a non-partial unique index that is checked immediately. */
#define KEYS_SQL                                                                                              \
        "UNION ALL SELECT 52, format('%s does not have %s (%s)', k.relation, "                                \
        "CASE WHEN k.is_primary THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, array_to_string(k.columns, ', ')), "    \
        "'run boris-ingestd migrate' "                                                                        \
        "FROM (VALUES ('platform_connections', ARRAY['id'], true), ('ad_accounts', ARRAY['id'], true), "      \
        "('ad_objects', ARRAY['id'], true), ('spending', ARRAY['id', 'collected_at'], true), "                \
        "('ad_accounts', ARRAY['platform_connection_id', 'external_id'], false), "                            \
        "('ad_objects', ARRAY['ad_account_id', 'external_id'], false)) AS k (relation, columns, is_primary) " \
        "JOIN there r ON r.name = k.relation WHERE NOT EXISTS ("                                              \
        "SELECT FROM pg_index i WHERE i.indrelid = r.id AND i.indisunique "                                   \
        "AND (i.indisprimary OR NOT k.is_primary) AND i.indisvalid AND i.indisready AND i.indimmediate "      \
        "AND i.indpred IS NULL AND i.indexprs IS NULL AND k.columns = ("                                      \
        "SELECT array_agg(a.attname::text ORDER BY u.place) "                                                 \
        "FROM unnest(i.indkey) WITH ORDINALITY AS u (number, place) "                                         \
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.number "                             \
        "WHERE u.place <= i.indnkeyatts)) "

#define HYPERTABLE_SQL                                                                                       \
        "UNION ALL SELECT 53, 'spending is no hypertable on collected_at', 'run boris-ingestd migrate' "     \
        "FROM there r WHERE r.name = 'spending' AND NOT EXISTS ("                                            \
        "SELECT FROM _timescaledb_catalog.hypertable h "                                                     \
        "JOIN _timescaledb_catalog.dimension d ON d.hypertable_id = h.id "                                   \
        "WHERE h.schema_name = 'public' AND h.table_name = 'spending' AND d.column_name = 'collected_at' "   \
        "AND d.interval_length IS NOT NULL) "

#define RULES_SQL                                                                                            \
        "UNION ALL SELECT 54, format('%s has the rule %s', r.name, w.rulename), "                            \
        "format('DROP RULE %I ON public.%I', w.rulename, r.name) "                                           \
        "FROM there r, LATERAL (SELECT * FROM pg_rewrite WHERE ev_class = r.id OFFSET 0) AS w "              \
        "WHERE w.ev_type IN ('2', '3') AND w.ev_enabled <> 'D' "                                             \
        "UNION ALL SELECT 54, format('row security of %s is in force for role %s', r.name, current_user), "  \
        "format('ALTER TABLE public.%I DISABLE ROW LEVEL SECURITY, or ALTER ROLE %I BYPASSRLS', "            \
        "r.name, current_user) FROM there r WHERE row_security_active(r.id) "

#define LABELS_SQL                                                                                                                  \
        "UNION ALL SELECT 51, format('enum type %s lacks the label %s', l.type, l.label), "                                         \
        "format('ALTER TYPE public.%I ADD VALUE %L', l.type, l.label) "                                                             \
        "FROM (VALUES ('platform', 'META'), ('platform', 'GOOGLE_ADS'), ('platform', 'TIKTOK'), "                                   \
        "('ad_object_type', 'CAMPAIGN'), ('ad_object_type', 'AD_SET'), ('ad_object_type', 'AD'), "                                  \
        "('ad_object_status', 'ACTIVE'), ('ad_object_status', 'PAUSED'), ('ad_object_status', 'ARCHIVED'), "                        \
        "('ad_object_status', 'DELETED')) AS l (type, label) "                                                                      \
        "JOIN LATERAL (SELECT * FROM pg_type WHERE oid = to_regtype('public.' || l.type) AND typtype = 'e' OFFSET 0) AS t ON true " \
        "WHERE NOT EXISTS (SELECT FROM pg_enum e WHERE e.enumtypid = t.oid AND e.enumlabel = l.label) "

/* Privileges on single columns suffice, as config/role.sql grants them, except for LOCK TABLE. */
#define RIGHTS_SQL                                                                                            \
        "UNION ALL SELECT 60, format('privileges: this role lacks %s', "                                      \
        "string_agg(n.privilege || ' on ' || n.name, ', ' ORDER BY n.place)), 'GRANT them (SQLSTATE 42501)' " \
        "FROM (VALUES (1, 'ad_accounts', 'SELECT'), (2, 'ad_accounts', 'INSERT'), "                           \
        "(3, 'ad_accounts', 'UPDATE'), (4, 'ad_objects', 'SELECT'), (5, 'ad_objects', 'INSERT'), "            \
        "(6, 'ad_objects', 'UPDATE'), (7, 'platform_connections', 'SELECT'), (8, 'spending', 'SELECT'), "     \
        "(9, 'spending', 'INSERT')) AS n (place, name, privilege) JOIN there r ON r.name = n.name "           \
        "WHERE NOT CASE WHEN (n.name, n.privilege) IN (('ad_accounts', 'SELECT'), ('ad_objects', 'SELECT'), " \
        "('spending', 'INSERT')) THEN has_table_privilege(r.id, n.privilege) "                                \
        "ELSE has_any_column_privilege(r.id, n.privilege) END HAVING count(*) > 0"

/* What affects every row. A missing enum label affects only lines that contain it. */
#define FOR_EACH_ROW_SQL                                                                                     \
        "WITH " RELATIONS ", " COLUMNS " " SERVER_SQL RESTORE_SQL SESSION_SQL TABLES_SQL COLUMNS_SQL         \
                KEYS_SQL HYPERTABLE_SQL RULES_SQL RIGHTS_SQL

#define DIFFERENCES_SQL FOR_EACH_ROW_SQL " " LABELS_SQL

/* --- the statements --- */

#define UNDEFINED_TABLE "42P01"

/* The state is taken before the check, so that a change in between is noticed afterwards. The error contains
 * the first difference and the number of differences. */
const char fits_prepare_sql[] =
        "SELECT set_config(" FITS_SEEN ", " FITS_STATE_SQL ", false); "
        "PREPARE boris_ingestd_same AS " FITS_CHANGED_SQL "; "
        "PREPARE boris_ingestd_fits AS SELECT current_setting('" FITS_MARK "' || told.first "
        "|| CASE WHEN told.total > 1 THEN format(' (and %s more: see boris-ingestd check)', told.total - 1) ELSE '' END) "
        "FROM (SELECT (array_agg(d.difference || ': ' || d.remedy ORDER BY d.rank))[1] AS first, count(*) AS total "
        "FROM (" FOR_EACH_ROW_SQL
        ") AS d (rank, difference, remedy)) AS told WHERE told.total > 0; " FITS_LOOK_SQL;

static const char compare_sql[] = "SELECT rank / 10::int8, difference, remedy FROM (" DIFFERENCES_SQL
                                  ") AS d (rank, difference, remedy) ORDER BY rank, difference";

bool fits_read_error(const char *sqlstate, const char *message, char ret[FITS_TEXT_BYTES])
{
        const char *text = strcmp(sqlstate, FITS_UNDEFINED_SETTING) == 0 ? strstr(message, FITS_MARK) : NULL;
        size_t len;

        if (!text) {
                /* The check reads TimescaleDB's catalogue. */
                if (strcmp(sqlstate, UNDEFINED_TABLE) != 0 || !strstr(message, "_timescaledb_catalog"))
                        return false;
                snprintf(ret, FITS_TEXT_BYTES,
                         "TimescaleDB is not in this database: run boris-ingestd migrate");
                return true;
        }
        snprintf(ret, FITS_TEXT_BYTES, "%s", text + strlen(FITS_MARK));
        len = strlen(ret);
        if (len > 0 && ret[len - 1] == '"')
                ret[len - 1] = '\0';
        return true;
}

int fits_compare(struct db *db, fits_difference_cb *told, void *ctx)
{
        struct pg_result *res;
        int err = db_query(db, compare_sql, NULL, &res);

        if (err)
                return err;
        for (int i = 0; i < db_rows(res); i++)
                told(ctx, (enum fits_subject)db_i64(res, i, 0), db_text(res, i, 1).ptr,
                     db_text(res, i, 2).ptr);
        db_result_free(res);
        return 0;
}
