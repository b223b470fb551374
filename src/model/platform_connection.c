#include "model/platform_connection.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/memory.h"

static const char insert_sql[] =
        "INSERT INTO platform_connections (id, platform, credentials) "
        "VALUES (coalesce($1, gen_random_uuid()), $2::text::platform, $3::text::jsonb) "
        "RETURNING id";

static const char extent_sql[] =
        "SELECT c.platform, "
        "(SELECT count(*) FROM ad_accounts a WHERE a.platform_connection_id = c.id), "
        "(SELECT count(*) FROM ad_accounts a JOIN ad_objects o ON o.ad_account_id = a.id "
        "WHERE a.platform_connection_id = c.id), "
        "(SELECT count(*) FROM ad_accounts a JOIN ad_objects o ON o.ad_account_id = a.id "
        "JOIN spending s ON s.ad_object_id = o.id WHERE a.platform_connection_id = c.id) "
        "FROM platform_connections c WHERE c.id = $1";

static const char delete_sql[] = "DELETE FROM platform_connections WHERE id = $1 RETURNING id";

static const char list_sql[] = "SELECT c.id, c.platform, c.created_at, "
                               "(SELECT count(*) FROM ad_accounts a WHERE a.platform_connection_id = c.id) "
                               "FROM platform_connections c ORDER BY c.created_at, c.id";

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

int platform_connection_extent(struct db *db, const struct uuid *id, struct platform_connection_extent *ret)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, id);
        err = db_query_row(db, extent_sql, &params, &res);
        if (err)
                return err;
        err = platform_read(db, db_text(res, 0, 0), &ret->platform);
        ret->accounts = db_i64(res, 0, 1);
        ret->objects = db_i64(res, 0, 2);
        ret->records = db_i64(res, 0, 3);
        db_result_free(res);
        return err;
}

int platform_connection_delete(struct db *db, const struct uuid *id)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, id);
        err = db_query_row(db, delete_sql, &params, &res);
        if (err == 0)
                db_result_free(res);
        return err;
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
        list = must_calloc((size_t)len + 1, sizeof(*list));
        for (int i = 0; !err && i < len; i++) {
                list[i].id = db_uuid(res, i, 0);
                err = platform_read(db, db_text(res, i, 1), &list[i].platform);
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
