#include "model/platform_connection.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

static const char insert_sql[] =
        "INSERT INTO platform_connections (id, platform, credentials) "
        "VALUES (coalesce($1, gen_random_uuid()), $2::text::platform, $3::text::jsonb) "
        "RETURNING id";

static const char find_sql[] = "SELECT id, platform, credentials::text, created_at, updated_at "
                               "FROM platform_connections WHERE id = $1";

static const char list_sql[] = "SELECT c.id, c.platform, c.created_at, "
                               "(SELECT count(*) FROM ad_accounts a WHERE a.platform_connection_id = c.id) "
                               "FROM platform_connections c ORDER BY c.created_at, c.id";

static int read_platform(struct db *db, const struct pg_result *res, int row, int column, enum platform *ret)
{
        struct slice text = db_text(res, row, column);

        return platform_parse(text, ret) ? 0 : db_fail(db, ERR_SCHEMA, "unknown platform %s", text.ptr);
}

int platform_connection_insert(struct db *db, const struct platform_connection_new *row, struct uuid *ret_id)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, row->id);
        db_param_text(&params, slice_str(platform_name(row->platform)));
        db_param_text(&params, row->credentials);
        err = db_query_row(db, insert_sql, &params, &res);
        if (err)
                return err;
        *ret_id = db_uuid(res, 0, 0);
        db_result_free(res);
        return 0;
}

int platform_connection_find(struct db *db, const struct uuid *id, struct platform_connection *ret)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, id);
        err = db_query_row(db, find_sql, &params, &res);
        if (err)
                return err;
        *ret = (struct platform_connection){
                .id = db_uuid(res, 0, 0),
                .credentials = db_text_dup(res, 0, 2),
                .created_at = db_time(res, 0, 3),
                .updated_at = db_time(res, 0, 4),
        };
        err = read_platform(db, res, 0, 1, &ret->platform);
        if (err)
                platform_connection_deinit(ret);
        db_result_free(res);
        return err;
}

void platform_connection_deinit(struct platform_connection *c)
{
        if (c->credentials)
                explicit_bzero(c->credentials, strlen(c->credentials));
        free(c->credentials);
        c->credentials = NULL;
}

int platform_connection_list(struct db *db, struct platform_connection_summary **ret, size_t *ret_len)
{
        struct platform_connection_summary *list;
        struct pg_result *res;
        int err = db_query(db, list_sql, NULL, &res);
        int len;

        if (err)
                return err;
        len = db_rows(res);
        list = calloc((size_t)len + 1, sizeof(*list));
        if (!list)
                abort();
        for (int i = 0; !err && i < len; i++) {
                list[i].id = db_uuid(res, i, 0);
                err = read_platform(db, res, i, 1, &list[i].platform);
                list[i].created_at = db_time(res, i, 2);
                list[i].accounts = db_i64(res, i, 3);
        }
        db_result_free(res);
        if (err) {
                free(list);
                return err;
        }
        *ret = list;
        *ret_len = (size_t)len;
        return 0;
}
