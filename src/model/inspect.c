#include "model/inspect.h"

#include <stdio.h>

static const char server_sql[] =
        "SELECT current_setting('server_version'), pg_is_in_recovery(), "
        "current_setting('default_transaction_read_only') = 'on', getdatabaseencoding(), "
        "(SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), "
        "(SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb')";

/* The hierarchy is read by the resolver and written by hierarchy lines. Rights to some columns suffice, as
 * config/role.sql gives them. */
const char inspect_schema_sql[] =
        "WITH needed (name, privilege) AS (VALUES "
        "('platform_connections', 'SELECT'), ('ad_accounts', 'SELECT'), ('ad_accounts', 'INSERT'), "
        "('ad_accounts', 'UPDATE'), "
        "('ad_objects', 'SELECT'), ('ad_objects', 'INSERT'), ('ad_objects', 'UPDATE'), "
        "('spending', 'SELECT'), ('spending', 'INSERT')), "
        "seen AS (SELECT name, privilege, to_regclass('public.' || name) AS id FROM needed) "
        "SELECT bool_and(id IS NOT NULL), coalesce(bool_and(to_regclass(name) = id), false), "
        "string_agg(privilege || ' on ' || name, ', ' ORDER BY name, privilege) FILTER (WHERE NOT "
        "has_any_column_privilege(id, privilege)), "
        "(SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c "
        "WHERE c.conrelid = to_regclass('public.spending') AND c.contype = 'p') "
        "FROM seen";

static const char hypertable_sql[] =
        "SELECT column_name, coalesce(time_interval::text, '?'), "
        "coalesce(column_name = 'collected_at' AND time_interval = INTERVAL '1 week', false) "
        "FROM timescaledb_information.dimensions "
        "WHERE hypertable_schema = 'public' AND hypertable_name = 'spending' ORDER BY dimension_number";

#define COPY_TEXT(to, res, column) snprintf(to, sizeof(to), "%s", db_text(res, 0, column).ptr)

int inspect_server(struct db *db, struct server_facts *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, server_sql, NULL, &res);

        if (err)
                return err;
        *ret = (struct server_facts){.standby = db_bool(res, 0, 1), .read_only = db_bool(res, 0, 2)};
        COPY_TEXT(ret->version, res, 0);
        COPY_TEXT(ret->encoding, res, 3);
        COPY_TEXT(ret->timescaledb, res, 4);
        COPY_TEXT(ret->timescaledb_available, res, 5);
        db_result_free(res);
        return 0;
}

struct schema_facts inspect_schema_read(const struct pg_result *res)
{
        struct schema_facts facts = {.complete = db_bool(res, 0, 0)};

        if (facts.complete) {
                facts.on_path = db_bool(res, 0, 1);
                COPY_TEXT(facts.missing, res, 2);
                COPY_TEXT(facts.key, res, 3);
        }
        return facts;
}

int inspect_schema(struct db *db, struct schema_facts *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, inspect_schema_sql, NULL, &res);

        if (err)
                return err;
        *ret = inspect_schema_read(res);
        db_result_free(res);
        return 0;
}

int inspect_hypertable(struct db *db, struct hypertable_facts *ret)
{
        struct pg_result *res;
        int err = db_query(db, hypertable_sql, NULL, &res);

        if (err)
                return err;
        *ret = (struct hypertable_facts){.exists = db_rows(res) > 0};
        if (ret->exists) {
                COPY_TEXT(ret->column, res, 0);
                COPY_TEXT(ret->interval, res, 1);
                ret->fits = db_rows(res) == 1 && db_bool(res, 0, 2);
        }
        db_result_free(res);
        return 0;
}
