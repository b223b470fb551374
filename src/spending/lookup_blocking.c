#include "spending/lookup_blocking.h"

#include "model/ad_object.h"
#include "pg/pg_conn.h"

static bool same_account(const struct spending_record *x, const struct spending_record *y)
{
        return x->platform == y->platform && x->has_connection == y->has_connection &&
               (!x->has_connection || uuid_eq(&x->connection_id, &y->connection_id)) &&
               slice_eq(x->account_external_id.raw, y->account_external_id.raw);
}

void lookup_blocking_add(struct lookup_blocking *l, const struct spending_record *rec)
{
        struct array_text *p = l->params;

        for (int i = 0; i < LOOKUP_BLOCKING_PARAMS && l->len == 0; i++)
                array_text_begin(&p[i]);
        if (l->len == 0 || !same_account(&l->last, rec)) {
                l->accounts++;
                array_text_add(&p[0], slice_str(platform_name(rec->platform)));
                array_text_add_uuid(&p[1], rec->has_connection ? &rec->connection_id : NULL);
                array_text_add_json(&p[2], rec->account_external_id);
                array_text_add_i64(&p[3], l->accounts);
        }
        array_text_add_i64(&p[4], l->accounts);
        array_text_add_json(&p[5], rec->external_id);
        l->last = *rec;
        l->len++;
}

int lookup_blocking_run(struct lookup_blocking *l, struct db *db, lookup_blocking_cb *cb, void *ctx)
{
        enum { COLUMN_NUMBER, COLUMN_ACCOUNTS, COLUMN_OBJECT };
        struct db_params params = {0};
        struct pg_result *res;
        int err = 0;

        if (l->len == 0)
                return 0;
        for (int i = 0; i < LOOKUP_BLOCKING_PARAMS; i++)
                db_param_text(&params, array_text_end(&l->params[i]));
        err = db_query(db, ad_object_lookup_sql, &params, &res);
        for (int i = 0; err == 0 && i < pg_result_rows(res); i++) {
                struct uuid object = pg_result_uuid(res, i, COLUMN_OBJECT);

                cb(ctx, (size_t)pg_result_i32(res, i, COLUMN_NUMBER) - 1,
                   pg_result_i64(res, i, COLUMN_ACCOUNTS),
                   pg_result_null(res, i, COLUMN_OBJECT) ? NULL : &object);
        }
        if (err == 0)
                db_result_free(res);
        l->len = 0;
        l->accounts = 0;
        return err;
}

void lookup_blocking_deinit(struct lookup_blocking *l)
{
        for (int i = 0; i < LOOKUP_BLOCKING_PARAMS; i++)
                array_text_deinit(&l->params[i]);
}
