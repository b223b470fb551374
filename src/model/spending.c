#include "model/spending.h"

#include <stdlib.h>

#include "err.h"

#define COLUMNS                                                                                              \
        "id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "                 \
        "impressions, clicks, conversions, metrics"

const char spending_copy_sql[] = "COPY spending (" COLUMNS ") FROM STDIN (FORMAT binary)";

/* The arrays are hidden behind a SELECT each, since their length times a guessed cost makes the server
 * compile the statement (JIT) for longer than it runs. What was inserted is found by grouping, not by a join,
 * which a wrong guess could make a nested loop. count(*) reads an index where LIMIT 1 might try its luck with
 * the whole table. */
const char spending_merge_sql[] =
        "WITH inserted AS ("
        "INSERT INTO spending (" COLUMNS ") "
        "SELECT " COLUMNS " FROM ("
        "SELECT u.*, min(u.n) OVER (PARTITION BY u.id) AS first_n FROM unnest("
        "(SELECT $1::uuid[]), (SELECT $2::uuid[]), "
        "(SELECT $3::timestamptz[]), (SELECT $4::timestamptz[]), (SELECT $5::timestamptz[]), "
        "(SELECT $6::int8[]), (SELECT $7::text[]), "
        "(SELECT $8::int8[]), (SELECT $9::int8[]), (SELECT $10::int8[]), "
        "(SELECT $11::jsonb[]), (SELECT $12::bool[])) "
        "WITH ORDINALITY AS u (" COLUMNS ", any_time, n)"
        ") AS i "
        "WHERE CASE WHEN i.any_time "
        "THEN i.n = i.first_n AND (SELECT count(*) FROM spending s WHERE s.id = i.id) = 0 ELSE true END "
        "ORDER BY i.id, i.collected_at, i.n "
        "ON CONFLICT (id, collected_at) DO NOTHING "
        "RETURNING id, collected_at"
        ") "
        "SELECT min(k.n)::int4 FROM ("
        "SELECT * FROM unnest((SELECT $1), (SELECT $3)) WITH ORDINALITY AS given (id, collected_at, n) "
        "UNION ALL SELECT id, collected_at, NULL FROM inserted"
        ") AS k GROUP BY k.id, k.collected_at HAVING count(*) > count(k.n)";

static const char insert_sql[] =
        "INSERT INTO spending (" COLUMNS ") "
        "VALUES (coalesce($1, gen_random_uuid()), $2, coalesce($3, now()), $4, $5, $6, $7, "
        "$8, $9, $10, $11::text::jsonb) RETURNING id";

#define SELECT_SQL                                                                                           \
        "SELECT id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "          \
        "impressions, clicks, conversions, metrics::text FROM spending WHERE "

static const char find_sql[] = SELECT_SQL "id = $1 ORDER BY collected_at DESC";

static const char find_by_ad_object_sql[] =
        SELECT_SQL "ad_object_id = $1 ORDER BY collected_at DESC, id LIMIT $2";

static void add_count(struct db_params *params, const struct spending_count *count)
{
        db_param_i64(params, count->known ? &count->value : NULL);
}

int spending_insert(struct db *db, const struct spending_new *row, struct uuid *ret_id)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, row->id);
        db_param_uuid(&params, &row->ad_object_id);
        db_param_time(&params, row->collected_at);
        db_param_time(&params, &row->period_start);
        db_param_time(&params, &row->period_end);
        db_param_i64(&params, &row->amount_cents);
        db_param_text(&params, row->currency);
        add_count(&params, &row->impressions);
        add_count(&params, &row->clicks);
        add_count(&params, &row->conversions);
        db_param_text(&params, row->metrics);
        err = db_query_row(db, insert_sql, &params, &res);
        if (err)
                return err;
        *ret_id = db_uuid(res, 0, 0);
        db_result_free(res);
        return 0;
}

static struct spending_count read_count(const struct pg_result *res, int row, int column)
{
        struct spending_count count = {.known = !db_null(res, row, column)};

        if (count.known)
                count.value = db_i64(res, row, column);
        return count;
}

static void read_row(const struct pg_result *res, int row, struct spending *ret)
{
        *ret = (struct spending){
                .id = db_uuid(res, row, 0),
                .ad_object_id = db_uuid(res, row, 1),
                .collected_at = db_time(res, row, 2),
                .period_start = db_time(res, row, 3),
                .period_end = db_time(res, row, 4),
                .amount_cents = db_i64(res, row, 5),
                .currency = db_text_dup(res, row, 6),
                .impressions = read_count(res, row, 7),
                .clicks = read_count(res, row, 8),
                .conversions = read_count(res, row, 9),
                .metrics = db_text_dup(res, row, 10),
        };
}

static int find(struct db *db, const char *sql, const struct db_params *params, struct spending_list *ret)
{
        struct pg_result *res;
        int err = db_query(db, sql, params, &res);
        int len;

        if (err)
                return err;
        len = db_rows(res);
        ret->rows = calloc((size_t)len + 1, sizeof(*ret->rows));
        if (!ret->rows)
                abort();
        ret->len = (size_t)len;
        for (int i = 0; i < len; i++)
                read_row(res, i, &ret->rows[i]);
        db_result_free(res);
        return 0;
}

int spending_find(struct db *db, const struct uuid *id, struct spending_list *ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, id);
        return find(db, find_sql, &params, ret);
}

int spending_find_by_ad_object(struct db *db, const struct uuid *ad_object_id, int64_t limit,
                               struct spending_list *ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, ad_object_id);
        db_param_i64(&params, &limit);
        return find(db, find_by_ad_object_sql, &params, ret);
}

void spending_list_deinit(struct spending_list *list)
{
        for (size_t i = 0; i < list->len; i++) {
                free(list->rows[i].currency);
                free(list->rows[i].metrics);
        }
        free(list->rows);
        *list = (struct spending_list){0};
}
