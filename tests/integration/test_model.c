/* The four entities on a real server, and the statements that the daemon runs by itself. */
#include "database.h"

#include <endian.h>

#include <libpq-fe.h>

#include "base/err.h"
#include "model/fits.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "model/platform_connection.h"
#include "model/spending_store.h"
#include "pg/pg_array.h"
#include "spending/copy_format.h"

enum { MAX_ROWS = 16 };

/* 2026-01-01 00:00 UTC. */
static const int64_t T0 = INT64_C(1767225600000000);
static const int64_t DAY = INT64_C(86400000000);

static struct database d;
static struct uuid connection_id;
static struct uuid account_id;
static struct uuid object_id;

/* An account of @connection and an object in it, both with the given external ids. */
static void make_account(const struct uuid *connection, const char *account, const char *object,
                         struct uuid *ret_account, struct uuid *ret_object)
{
        struct db_params params = {0};
        struct pg_result *res;

        db_param_uuid(&params, connection);
        db_param_text(&params, slice_str(account));
        db_param_text(&params, slice_str(object));
        assert_db_ok(&d, db_query_row(&d.db,
                                      "WITH a AS (INSERT INTO ad_accounts "
                                      "(platform_connection_id, external_id, currency, timezone) "
                                      "VALUES ($1, $2, 'USD', 'UTC') RETURNING id) "
                                      "INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                                      "SELECT id, $3, 'AD', 'ACTIVE' FROM a RETURNING ad_account_id, id",
                                      &params, &res));
        *ret_account = db_uuid(res, 0, 0);
        *ret_object = db_uuid(res, 0, 1);
        db_result_free(res);
}

static int make(void **state)
{
        const struct platform_connection_new connection = {.platform = PLATFORM_META,
                                                           .credentials = SLICE_LIT("{}")};

        (void)state;
        database_make(&d);
        assert_db_ok(&d, database_migrate(&d));
        assert_db_ok(&d, platform_connection_insert(&d.db, &connection, &connection_id));
        make_account(&connection_id, "act", "ad", &account_id, &object_id);
        return 0;
}

static int drop(void **state)
{
        (void)state;
        database_drop(&d);
        return 0;
}

static void assert_uuid_equal(const struct uuid *a, const struct uuid *b)
{
        assert_memory_equal(a->bytes, b->bytes, sizeof(a->bytes));
}

static struct uuid number(unsigned n)
{
        struct uuid uuid = {{0}};

        uuid.bytes[14] = (uint8_t)(n >> 8);
        uuid.bytes[15] = (uint8_t)n;
        return uuid;
}

/* --- connections --- */

static void test_platform_connection(void **state)
{
        struct uuid own = number(7);
        struct uuid id;
        struct platform_connection_extent extent;
        struct platform_connection_new row = {
                .id = &own,
                .platform = PLATFORM_GOOGLE_ADS,
                .credentials = SLICE_LIT("{\"token\": \"\\u00e4'\\\"\", \"n\": 1.50}"),
        };
        char *text;

        (void)state;
        assert_db_ok(&d, platform_connection_insert(&d.db, &row, &id));
        assert_uuid_equal(&id, &own);
        text = database_text(&d, "SELECT credentials::text FROM platform_connections "
                                 "WHERE platform = 'GOOGLE_ADS' AND created_at = updated_at");
        assert_string_equal(text, "{\"n\": 1.50, \"token\": \"ä'\\\"\"}");
        free(text);

        assert_int_equal(platform_connection_insert(&d.db, &row, &id), ERR_EXISTS);
        row.id = NULL;
        row.credentials = SLICE_LIT("{\"token\": s3cr3t}");
        assert_int_equal(platform_connection_insert(&d.db, &row, &id), ERR_INVALID);
        assert_null(strstr(d.db.error, "s3cr3t"));
        id = number(8);
        assert_int_equal(platform_connection_extent(&d.db, &id, &extent), ERR_NOT_FOUND);
        assert_int_equal(platform_connection_delete(&d.db, &id), ERR_NOT_FOUND);
}

static void test_platform_connection_list(void **state)
{
        const struct platform_connection_new row = {.platform = PLATFORM_TIKTOK,
                                                    .credentials = SLICE_LIT("{}")};
        struct platform_connection_summary *list;
        struct uuid id;
        size_t len;

        (void)state;
        assert_db_ok(&d, platform_connection_insert(&d.db, &row, &id));
        assert_db_ok(&d, platform_connection_list(&d.db, &list, &len));
        assert_int_equal(len, 2);
        assert_uuid_equal(&list[0].id, &connection_id);
        assert_int_equal(list[0].platform, PLATFORM_META);
        assert_int_equal(list[0].accounts, 1);
        assert_uuid_equal(&list[1].id, &id);
        assert_int_equal(list[1].platform, PLATFORM_TIKTOK);
        assert_int_equal(list[1].accounts, 0);
        assert_true(list[0].created_at <= list[1].created_at);
        free(list);
}

/* --- accounts --- */

static void test_ad_account(void **state)
{
        const enum platform meta = PLATFORM_META;
        const enum platform tiktok = PLATFORM_TIKTOK;
        const struct platform_connection_new row = {.platform = PLATFORM_TIKTOK,
                                                    .credentials = SLICE_LIT("{}")};
        struct ad_account_list list;
        struct uuid account;
        struct uuid object;
        struct uuid other;

        (void)state;
        assert_db_ok(&d, platform_connection_insert(&d.db, &row, &other));
        make_account(&other, "act", "ad", &account, &object);
        assert_db_ok(&d, ad_account_find_external(&d.db, SLICE_LIT("act"), NULL, NULL, &list));
        assert_int_equal(list.len, 2);
        assert_int_equal(list.rows[0].platform, PLATFORM_META);
        assert_int_equal(list.rows[1].platform, PLATFORM_TIKTOK);
        ad_account_list_deinit(&list);
        assert_db_ok(&d, ad_account_find_external(&d.db, SLICE_LIT("act"), &meta, NULL, &list));
        assert_int_equal(list.len, 1);
        assert_uuid_equal(&list.rows[0].id, &account_id);
        assert_uuid_equal(&list.rows[0].platform_connection_id, &connection_id);
        assert_string_equal(list.rows[0].external_id, "act");
        assert_null(list.rows[0].name);
        assert_string_equal(list.rows[0].currency, "USD");
        assert_string_equal(list.rows[0].timezone, "UTC");
        assert_true(list.rows[0].created_at > T0 && list.rows[0].created_at == list.rows[0].updated_at);
        ad_account_list_deinit(&list);
        assert_db_ok(&d, ad_account_find_external(&d.db, SLICE_LIT("act"), &tiktok, &other, &list));
        assert_int_equal(list.len, 1);
        assert_uuid_equal(&list.rows[0].id, &account);
        ad_account_list_deinit(&list);
        assert_db_ok(&d, ad_account_find_external(&d.db, SLICE_LIT("act"), &meta, &other, &list));
        assert_int_equal(list.len, 0);
        ad_account_list_deinit(&list);
        assert_db_ok(&d, ad_account_find_external(&d.db, SLICE_LIT("act "), NULL, NULL, &list));
        assert_int_equal(list.len, 0);
        ad_account_list_deinit(&list);
}

/* --- objects --- */

static void test_ad_object(void **state)
{
        struct ad_object_list list;
        struct uuid id;

        (void)state;
        assert_db_ok(&d, ad_object_find_external(&d.db, &account_id, SLICE_LIT("ad"), &id));
        assert_uuid_equal(&id, &object_id);
        assert_int_equal(ad_object_find_external(&d.db, &account_id, SLICE_LIT("AD"), &id), ERR_NOT_FOUND);
        assert_int_equal(ad_object_find_external(&d.db, &object_id, SLICE_LIT("ad"), &id), ERR_NOT_FOUND);
        assert_int_equal(db_run(&d.db, "UPDATE ad_objects SET parent_id = id"), ERR_INVALID);
        assert_non_null(strstr(d.db.error, "ad_objects_no_self_parent"));

        /* a cycle, which only another program can create, ends the loop */
        assert_db_ok(&d,
                     db_run(&d.db,
                            "INSERT INTO ad_objects (ad_account_id, external_id, type, status, parent_id) "
                            "SELECT ad_account_id, 'round', 'AD_SET', 'PAUSED', id FROM ad_objects; "
                            "UPDATE ad_objects o SET parent_id = p.id FROM ad_objects p "
                            "WHERE o.external_id = 'ad' AND p.external_id = 'round'"));
        assert_db_ok(&d, ad_object_lineage(&d.db, &object_id, &list));
        assert_true(list.len > 2 && list.len < 200);
        ad_object_list_deinit(&list);
        assert_db_ok(&d, ad_object_tree(&d.db, &account_id, &list));
        assert_int_equal(list.len, 0);
        ad_object_list_deinit(&list);
}

/* The enums are those of the database, in its order. */
static void test_enums(void **state)
{
        enum ad_object_type type;
        enum ad_object_status status;
        struct pg_result *res;
        size_t n;

        (void)state;
        assert_db_ok(&d, db_query(&d.db, "SELECT unnest(enum_range(NULL::ad_object_type))", NULL, &res));
        for (n = 0; n < (size_t)db_rows(res); n++) {
                assert_true(ad_object_type_parse(db_text(res, (int)n, 0), &type) && type == n);
                assert_true(slice_eq(slice_str(ad_object_type_name(type)), db_text(res, (int)n, 0)));
        }
        assert_int_equal(n, AD_OBJECT_TYPE_AD + 1);
        db_result_free(res);
        assert_db_ok(&d, db_query(&d.db, "SELECT unnest(enum_range(NULL::ad_object_status))", NULL, &res));
        for (n = 0; n < (size_t)db_rows(res); n++) {
                assert_true(ad_object_status_parse(db_text(res, (int)n, 0), &status) && status == n);
                assert_true(slice_eq(slice_str(ad_object_status_name(status)), db_text(res, (int)n, 0)));
        }
        assert_int_equal(n, AD_OBJECT_STATUS_DELETED + 1);
        db_result_free(res);
        assert_false(ad_object_type_parse(SLICE_LIT("ad"), &type));
        assert_false(ad_object_status_parse(SLICE_LIT("ACTIVE "), &status));
}

/* --- deleting --- */

static void test_cascade(void **state)
{
        struct platform_connection_extent extent;

        (void)state;
        assert_db_ok(&d, db_run(&d.db,
                                "INSERT INTO spending (ad_object_id, collected_at, period_start, period_end, "
                                "amount_cents, currency) SELECT id, now() + n * interval '1 week', now(), "
                                "now(), 1, 'USD' FROM ad_objects, generate_series(1, 5) n"));
        assert_db_ok(&d, platform_connection_extent(&d.db, &connection_id, &extent));
        assert_true(extent.accounts == 1 && extent.objects == 1 && extent.records == 5);
        assert_int_equal(extent.platform, PLATFORM_META);
        assert_db_ok(&d, platform_connection_delete(&d.db, &connection_id));
        assert_int_equal(database_i64(&d,
                                      "SELECT (SELECT count(*) FROM ad_accounts) + "
                                      "(SELECT count(*) FROM ad_objects) + (SELECT count(*) FROM spending)"),
                         0);
}

/* --- the daemon's statements --- */

/* Runs @sql with binary array parameters, which are freed. */
static PGresult *run_arrays(const char *sql, struct buf *arrays, int len)
{
        const char *values[COPY_FORMAT_ARRAYS] = {NULL};
        int lengths[COPY_FORMAT_ARRAYS] = {0};
        int formats[COPY_FORMAT_ARRAYS] = {0};
        PGresult *res;

        for (int i = 0; i < len; i++) {
                values[i] = arrays[i].data;
                lengths[i] = (int)arrays[i].len;
                formats[i] = 1;
        }
        res = PQexecParams(d.db.pg, sql, len, NULL, values, lengths, formats, 1);
        for (int i = 0; i < len; i++)
                buf_deinit(&arrays[i]);
        return res;
}

static PGresult *query_arrays(const char *sql, struct buf *arrays, int len)
{
        PGresult *res = run_arrays(sql, arrays, len);

        if (PQresultStatus(res) != PGRES_TUPLES_OK)
                fail_msg("%s", PQresultErrorMessage(res));
        return res;
}

static int32_t get_i32(const PGresult *res, int row, int column)
{
        uint32_t be;

        assert_int_equal(PQgetlength(res, row, column), 4);
        memcpy(&be, PQgetvalue(res, row, column), 4);
        return (int32_t)be32toh(be);
}

struct asked_account {
        const char *platform;
        const struct uuid *connection_id;
        const char *external_id;
};

struct asked_key {
        int32_t account;
        const char *external_id;
        int64_t matches;       /* expected */
        const struct uuid *id; /* expected; NULL: none */
};

/* @numbers: of the accounts; NULL: their places. */
static void assert_lookup(const struct asked_account *accounts, size_t accounts_len, const int32_t *numbers,
                          const struct asked_key *keys, size_t keys_len)
{
        struct buf arrays[6] = {{0}};
        PGresult *res;

        pg_array_begin(&arrays[0], PG_OID_TEXT, accounts_len);
        pg_array_begin(&arrays[1], PG_OID_UUID, accounts_len);
        pg_array_begin(&arrays[2], PG_OID_TEXT, accounts_len);
        pg_array_begin(&arrays[3], PG_OID_INT4, accounts_len);
        for (size_t i = 0; i < accounts_len; i++) {
                pg_array_add_str(&arrays[0], accounts[i].platform);
                pg_array_add_uuid(&arrays[1], accounts[i].connection_id);
                pg_array_add_str(&arrays[2], accounts[i].external_id);
                pg_array_add_i32(&arrays[3], numbers ? numbers[i] : (int32_t)i + 1);
        }
        pg_array_begin(&arrays[4], PG_OID_INT4, keys_len);
        pg_array_begin(&arrays[5], PG_OID_TEXT, keys_len);
        for (size_t i = 0; i < keys_len; i++) {
                pg_array_add_i32(&arrays[4], keys[i].account);
                pg_array_add_str(&arrays[5], keys[i].external_id);
        }
        res = query_arrays(ad_object_lookup_sql, arrays, 6);
        assert_int_equal(PQntuples(res), keys_len);
        for (int i = 0; i < PQntuples(res); i++) {
                const struct asked_key *key = &keys[get_i32(res, i, 0) - 1];
                struct uuid id;

                assert_int_equal(db_i64(res, i, 1), key->matches);
                assert_int_equal(PQgetisnull(res, i, 2), key->id == NULL);
                if (key->id) {
                        id = db_uuid(res, i, 2);
                        assert_uuid_equal(&id, key->id);
                }
        }
        PQclear(res);
}

static void test_lookup(void **state)
{
        const struct platform_connection_new second = {.platform = PLATFORM_META,
                                                       .credentials = SLICE_LIT("{}")};
        struct uuid other_object;
        struct uuid other;
        struct uuid id;

        (void)state;
        assert_db_ok(&d, platform_connection_insert(&d.db, &second, &other));
        make_account(&other, "act", "ad", &id, &other_object);
        {
                const struct asked_account accounts[] = {
                        {"META", NULL, "act"},          {"META", &connection_id, "act"},
                        {"META", &other, "act"},        {"TIKTOK", NULL, "act"},
                        {"META", NULL, "act "},         {"TIKTOK", &other, "act"},
                        {"META", &other_object, "act"},
                };
                const struct asked_key keys[] = {
                        {3, "ad", 1, &other_object}, {2, "ad", 1, &object_id}, {1, "ad", 2, NULL},
                        {2, "none", 1, NULL},        {2, "ad", 1, &object_id}, {4, "ad", 0, NULL},
                        {5, "ad", 0, NULL},          {6, "ad", 0, NULL},       {7, "ad", 0, NULL},
                        {2, "AD", 1, NULL},          {2, "ad ", 1, NULL},
                };

                assert_lookup(accounts, ARRAY_LEN(accounts), NULL, keys, ARRAY_LEN(keys));
                assert_lookup(accounts, ARRAY_LEN(accounts), NULL, keys, 0);
        }
        { /* an account with several places */
                const struct uuid nobody = {{0}};
                const struct asked_account places[] = {
                        {"META", &nobody, "act"}, {"META", &connection_id, "act"},
                        {"META", &other, "act"},  {"META", &connection_id, "act"},
                        {"META", &nobody, "act"},
                };
                const int32_t numbers[] = {1, 1, 2, 2, 3};
                const struct asked_key keys[] = {
                        {1, "ad", 1, &object_id}, {2, "ad", 2, NULL}, {3, "ad", 0, NULL}};

                assert_lookup(places, ARRAY_LEN(places), numbers, keys, ARRAY_LEN(keys));
        }
}

/* Whatever the planner assumes about tables that were never analyzed, each key is a look-up in the unique
 * index. */
static void assert_probes(const char *name, const char *statement, const char *arguments)
{
        static const char *const modes[] = {"force_custom_plan", "force_generic_plan"};
        char sql[4096];

        snprintf(sql, sizeof(sql), "PREPARE %s AS %s", name, statement);
        assert_db_ok(&d, db_run(&d.db, sql));
        for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
                bool probes = false;
                PGresult *res;

                snprintf(sql, sizeof(sql), "SET plan_cache_mode = %s", modes[i]);
                assert_db_ok(&d, db_run(&d.db, sql));
                snprintf(sql, sizeof(sql), "EXPLAIN EXECUTE %s(%s)", name, arguments);
                res = PQexec(d.db.pg, sql);
                if (PQresultStatus(res) != PGRES_TUPLES_OK)
                        fail_msg("%s", PQresultErrorMessage(res));
                for (int row = 0; row < PQntuples(res); row++) {
                        const char *line = PQgetvalue(res, row, 0);

                        probes |= strstr(line, "ad_objects_account_external") != NULL;
                        assert_null(strstr(line, "Seq Scan on ad_objects"));
                        assert_null(strstr(line, "JIT"));
                }
                assert_true(probes);
                PQclear(res);
        }
}

static void test_plans(void **state)
{
#define MANY(text) "array_fill(" text ", ARRAY[10000])"
        (void)state;
        assert_db_ok(&d, db_run(&d.db, "INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                                       "SELECT id, n::text, 'AD', 'ACTIVE' FROM ad_accounts, "
                                       "generate_series(1, 20000) n"));
        /* the estimated cost of a million objects, for this small table */
        assert_db_ok(&d, db_run(&d.db, "SET jit_above_cost = 10000"));
        assert_probes("lookup", ad_object_lookup_sql,
                      "'{META}', '{NULL}', '{act}', '{1}', " MANY("1") ", " MANY("'5'::text"));
        assert_probes(
                "resolve", ad_object_resolve_sql,
                "'{META}', '{NULL}', '{act}', '{1}', " MANY("1") ", " MANY("'5'::text") ", " MANY("'AD'::text") ", " MANY(
                        "'6'::text") ", " MANY("'x'::text") ", " MANY("'ACTIVE'::text") ", " MANY("'{}'::jsonb"));
        assert_probes(
                "upsert", ad_object_upsert_sql,
                MANY("gen_random_uuid()") ", " MANY("gen_random_uuid()") ", " MANY("'5'::text") ", " MANY("'AD'::text") ", " MANY(
                        "'x'::text") ", " MANY("'ACTIVE'::text") ", " MANY("gen_random_uuid()") ", " MANY("'{}'::jsonb"));
}

static void test_missing(void **state)
{
        struct buf array = {0};
        struct uuid gone = number(9);
        struct uuid found;
        PGresult *res;

        (void)state;
        pg_array_begin(&array, PG_OID_UUID, 4);
        pg_array_add(&array, gone.bytes, sizeof(gone.bytes));
        pg_array_add(&array, object_id.bytes, sizeof(object_id.bytes));
        pg_array_add(&array, gone.bytes, sizeof(gone.bytes));
        pg_array_add(&array, object_id.bytes, sizeof(object_id.bytes));
        res = query_arrays(ad_object_missing_sql, &array, 1);
        assert_int_equal(PQntuples(res), 1);
        found = db_uuid(res, 0, 0);
        assert_uuid_equal(&found, &gone);
        PQclear(res);
}

static struct row make_row(unsigned id, int64_t collected_at, int64_t amount)
{
        return (struct row){
                .rec =
                        {
                                .id = number(id),
                                .ad_object_id = object_id,
                                .collected_at = collected_at,
                                .period_start = T0,
                                .period_end = T0 + DAY,
                                .amount_cents = amount,
                                .currency = {'U', 'S', 'D'},
                                .impressions = 3,
                                .nulls = RECORD_NULL_CLICKS | RECORD_NULL_CONVERSIONS,
                                .metrics = SLICE_LIT("{\"n\":1.10}"),
                        },
        };
}

/* Merges @rows; asserts that those, and only those, with their place in @inserted ("xx.x") set were inserted.
 */
static void assert_merge(const char *sql, const struct row *rows, size_t len, const char *inserted)
{
        struct buf arrays[COPY_FORMAT_ARRAYS] = {{0}};
        char got[MAX_ROWS + 1];
        PGresult *res;

        copy_format_arrays(arrays, rows, NULL, len);
        res = query_arrays(sql, arrays, COPY_FORMAT_ARRAYS);
        memset(got, '.', len);
        got[len] = '\0';
        for (int i = 0; i < PQntuples(res); i++) {
                int32_t n = get_i32(res, i, 0);

                assert_in_range(n, 1, len);
                assert_int_equal(got[n - 1], '.');
                got[n - 1] = 'x';
        }
        assert_string_equal(got, inserted);
        PQclear(res);
}

/* What is stored: the id's last digit, amount, impressions, clicks and metrics. */
static void assert_rows(const char *rows)
{
        char *text = database_text(
                &d,
                "SELECT string_agg(concat_ws(' ', right(id::text, 1), amount_cents, coalesce(impressions::text, '-'), "
                "coalesce(clicks::text, '-'), coalesce(metrics::text, '-')), '; ' "
                "ORDER BY id DESC, collected_at DESC) FROM spending");

        assert_string_equal(text, rows);
        free(text);
}

static void test_merge(void **state)
{
        struct row rows[] = {
                make_row(3, T0, 1),           /* new */
                make_row(1, T0, 2),           /* new */
                make_row(3, T0, 3),           /* the first one's key */
                make_row(3, T0 + 40 * DAY, 4) /* another key, in another chunk */
        };

        (void)state;
        rows[1].rec.nulls =
                RECORD_NULL_IMPRESSIONS | RECORD_NULL_CLICKS | RECORD_NULL_CONVERSIONS | RECORD_NULL_METRICS;
        assert_merge(spending_merge_sql, rows, 4, "xx.x");
        assert_merge(spending_merge_sql, rows, 4, "....");
        rows[1] = make_row(2, T0, 5);
        assert_merge(spending_merge_sql, rows, 4, ".x..");
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending"), 4);

        assert_rows("3 4 3 - {\"n\": 1.10}; 3 1 3 - {\"n\": 1.10}; 2 5 3 - {\"n\": 1.10}; 1 2 - - -");
}

/* Rows keyed by id alone. */
static void test_merge_ids(void **state)
{
        struct row first[] = {make_row(1, T0, 1), make_row(2, T0, 2)};
        struct row rows[] = {
                make_row(1, T0 + 9 * DAY, 3),  /* its id is stored, a week before */
                make_row(4, T0 + 9 * DAY, 4),  /* new */
                make_row(4, T0 + 10 * DAY, 5), /* the id of the row above */
                make_row(4, T0 + 9 * DAY, 8),  /* again, at the same moment */
        };

        (void)state;
        assert_merge(spending_merge_sql, first, 2, "xx");
        assert_merge(spending_merge_ids_sql, rows, ARRAY_LEN(rows), ".x..");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                rows[i].rec.collected_at += 20 * DAY;
        assert_merge(spending_merge_ids_sql, rows, ARRAY_LEN(rows), "....");
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending"), 3);
}

/* A violation of an operator's unique index is not a duplicate: the row would be lost silently. */
static void test_merge_foreign_unique_index(void **state)
{
        struct row rows[] = {make_row(1, T0, 1), make_row(2, T0, 1)};
        struct buf arrays[COPY_FORMAT_ARRAYS] = {{0}};
        PGresult *res;

        (void)state;
        assert_db_ok(&d, db_run(&d.db, "CREATE UNIQUE INDEX once ON spending (amount_cents, collected_at)"));
        copy_format_arrays(arrays, rows, NULL, 2);
        res = run_arrays(spending_merge_sql, arrays, COPY_FORMAT_ARRAYS);
        assert_string_equal(PQresultErrorField(res, PG_DIAG_SQLSTATE), "23505");
        PQclear(res);
}

static void test_copy(void **state)
{
        struct row rows[] = {make_row(1, T0, -5), make_row(2, T0 + 8 * DAY, INT64_MAX)};
        struct buf data = {0};
        PGresult *res;

        (void)state;
        copy_format_header(&data);
        copy_format_row(&data, &rows[0].rec);
        copy_format_row(&data, &rows[1].rec);
        copy_format_trailer(&data);
        assert_db_ok(&d, db_run(&d.db, spending_prepare_sql));
        assert_db_ok(&d, db_run(&d.db, fits_prepare_sql)); /* without the check nothing is copied */
        res = PQexec(d.db.pg, spending_copy_sql);
        assert_int_equal(PQresultStatus(res), PGRES_COPY_IN);
        PQclear(res);
        assert_int_equal(PQputCopyData(d.db.pg, data.data, (int)data.len), 1);
        assert_int_equal(PQputCopyEnd(d.db.pg, NULL), 1);
        res = PQgetResult(d.db.pg);
        assert_string_equal(PQcmdTuples(res), "2");
        PQclear(res);
        assert_null(PQgetResult(d.db.pg));
        buf_deinit(&data);
        assert_rows("2 9223372036854775807 3 - {\"n\": 1.10}; 1 -5 3 - {\"n\": 1.10}");
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending WHERE currency = 'USD' "
                                          "AND period_start = '2026-01-01Z' AND period_end = '2026-01-02Z' "
                                          "AND collected_at IN ('2026-01-01Z', '2026-01-09Z')"),
                         2);
}

/* --- connecting --- */

static void test_no_secret_in_errors(void **state)
{
        static const char *const urls[] = {
                "postgresql://u:s3cr3t@127.0.0.1:1/db",
                "postgresql://u:p@s3cr3t@127.0.0.1:1/db",
                "postgresql://u:s3cr3t/p@127.0.0.1:1/db",
                "postgres://u:p/s3cr3t?@127.0.0.1:1/db",
                "postgresql://u:%zzs3cr3t@127.0.0.1:1/db",
                "postgresql://u@127.0.0.1:1/db?password=s3cr3t&s3cr3t",
                "host=127.0.0.1 port=1 password=p s3cr3t",
                "host=127.0.0.1 port=1 password='s3cr3t",
                "host=127.0.0.1 port=1 password=s3cr3t",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
                struct db db;

                assert_int_equal(db_open(&db, urls[i]), ERR_DB);
                assert_true(db.error[0] != '\0');
                assert_null(strchr(db.error, '\n'));
                if (strstr(db.error, "s3cr3t"))
                        fail_msg("%s: %s", urls[i], db.error);
                db_close(&db);
        }
}

int main(void)
{
#define with_database(test) cmocka_unit_test_setup_teardown(test, make, drop)
        const struct CMUnitTest tests[] = {
                with_database(test_platform_connection),
                with_database(test_platform_connection_list),
                with_database(test_ad_account),
                with_database(test_ad_object),
                with_database(test_enums),
                with_database(test_cascade),
                with_database(test_lookup),
                with_database(test_plans),
                with_database(test_missing),
                with_database(test_merge),
                with_database(test_merge_ids),
                with_database(test_merge_foreign_unique_index),
                with_database(test_copy),
                cmocka_unit_test(test_no_secret_in_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
