#include "model/platform_connection.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/memory.h"
#include "base/jwe.h"

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

/* --- credentials --- */

int platform_connection_new_id(struct db *db, struct uuid *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, "SELECT gen_random_uuid()", NULL, &res);

        if (err)
                return err;
        *ret = db_uuid(res, 0, 0);
        db_result_free(res);
        return 0;
}

int platform_connection_update(struct db *db, const struct uuid *id, struct slice credentials)
{
        static const char sql[] =
                "UPDATE platform_connections SET credentials = $2::text::jsonb, updated_at = now() "
                "WHERE id = $1 RETURNING id";
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, id);
        db_param_text(&params, credentials);
        err = db_query_row(db, sql, &params, &res);
        if (err == 0)
                db_result_free(res);
        return err;
}

/* FOR NO KEY UPDATE: accounts can be added meanwhile. */
int platform_connection_secrets(struct db *db, const struct uuid *id, bool lock,
                                struct platform_connection_secrets *ret)
{
        static const char look_sql[] = "SELECT id, credentials::text FROM platform_connections "
                                       "WHERE $1::uuid IS NULL OR id = $1 ORDER BY created_at, id";
        static const char lock_sql[] =
                "SELECT id, credentials::text FROM platform_connections "
                "WHERE $1::uuid IS NULL OR id = $1 ORDER BY created_at, id FOR NO KEY UPDATE";
        struct db_params params = {0};
        int err;

        *ret = (struct platform_connection_secrets){0};
        db_param_uuid(&params, id);
        err = db_query(db, lock ? lock_sql : look_sql, &params, &ret->result);
        if (err)
                return err;
        ret->len = (size_t)db_rows(ret->result);
        ret->rows = must_calloc(ret->len + 1, sizeof(*ret->rows));
        for (size_t i = 0; i < ret->len; i++) {
                ret->rows[i].id = db_uuid(ret->result, (int)i, 0);
                ret->rows[i].credentials = db_text(ret->result, (int)i, 1);
        }
        return 0;
}

void platform_connection_secrets_wipe(struct platform_connection_secrets *s)
{
        for (size_t i = 0; i < s->len; i++)
                explicit_bzero((char *)(uintptr_t)s->rows[i].credentials.ptr, s->rows[i].credentials.len);
        if (s->result)
                db_result_free(s->result);
        free(s->rows);
        *s = (struct platform_connection_secrets){0};
}

int platform_connection_keepings(struct db *db, struct platform_connection_keepings *ret)
{
        static const char sql[] = "SELECT id, CASE WHEN " JWE_IS_ENCRYPTED_SQL(
                "credentials") " THEN credentials ->> 'protected' END FROM platform_connections ORDER BY created_at, id";
        struct pg_result *res;
        int err;

        *ret = (struct platform_connection_keepings){0};
        err = db_query_bool(db,
                            "SELECT has_column_privilege('platform_connections', 'credentials', 'SELECT')",
                            NULL, &ret->permitted);
        if (err || !ret->permitted)
                return err;
        err = db_query(db, sql, NULL, &res);
        if (err)
                return err;
        ret->len = (size_t)db_rows(res);
        ret->rows = must_calloc(ret->len + 1, sizeof(*ret->rows));
        for (size_t i = 0; i < ret->len; i++) {
                ret->rows[i].id = db_uuid(res, (int)i, 0);
                ret->rows[i].header = db_text_dup(res, (int)i, 1);
        }
        db_result_free(res);
        return 0;
}

void platform_connection_keepings_deinit(struct platform_connection_keepings *k)
{
        for (size_t i = 0; i < k->len; i++)
                free(k->rows[i].header);
        free(k->rows);
        *k = (struct platform_connection_keepings){0};
}
