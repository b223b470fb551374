#include "model/inspect.h"

#include <stdio.h>

static const char server_sql[] =
        "SELECT current_setting('server_version'), pg_is_in_recovery(), "
        "current_setting('default_transaction_read_only') = 'on', getdatabaseencoding(), "
        "(SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), "
        "(SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb')";

static const char hypertable_sql[] =
        "SELECT column_name, coalesce(time_interval::text, '?'), "
        "coalesce(column_name = 'collected_at' AND time_interval = INTERVAL '1 week', false) "
        "FROM timescaledb_information.dimensions "
        "WHERE hypertable_schema = 'public' AND hypertable_name = 'spending' ORDER BY dimension_number";

/* Superusers are not limited; reserved_connections is PostgreSQL 16's. */
static const char connections_sql[] =
        "SELECT (SELECT CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END FROM pg_roles WHERE rolname = session_user)::int8, "
        "(SELECT CASE WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN -1 ELSE datconnlimit END "
        "FROM pg_database WHERE datname = current_database())::int8, "
        "current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8 "
        "- coalesce(current_setting('reserved_connections', true)::int8, 0)";

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

int inspect_connections(struct db *db, struct connection_limits *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, connections_sql, NULL, &res);

        if (err)
                return err;
        *ret = (struct connection_limits){db_i64(res, 0, 0), db_i64(res, 0, 1), db_i64(res, 0, 2)};
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
