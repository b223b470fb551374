/* The statements that the daemon runs, each by itself on a real server. */
#include "model_database.h"

#include <endian.h>

#include <libpq-fe.h>

#include "model/ad_object.h"
#include "model/fits.h"
#include "model/session.h"
#include "model/spending_store.h"
#include "pg/pg_array.h"
#include "spending/copy_format.h"

enum { MAX_ROWS = 16 };

/* Runs @sql, or the statement @prepared, with binary array parameters, which are freed. */
static PGresult *run_statement(const char *sql, const char *prepared, struct buf *arrays, int len)
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
        if (prepared)
                res = PQexecPrepared(d.db.pg, prepared, len, values, lengths, formats, 1);
        else
                res = PQexecParams(d.db.pg, sql, len, NULL, values, lengths, formats, 1);
        for (int i = 0; i < len; i++)
                buf_deinit(&arrays[i]);
        return res;
}

static PGresult *run_arrays(const char *sql, struct buf *arrays, int len)
{
        return run_statement(sql, NULL, arrays, len);
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

enum { LOOKUP_ARRAYS = 6 };

static void fill_lookup(struct buf arrays[LOOKUP_ARRAYS], const struct asked_account *accounts,
                        size_t accounts_len, const int32_t *numbers, const struct asked_key *keys,
                        size_t keys_len)
{
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
}

static void assert_found(PGresult *res, const struct asked_key *keys, size_t keys_len)
{
        if (PQresultStatus(res) != PGRES_TUPLES_OK)
                fail_msg("%s", PQresultErrorMessage(res));
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

/* Each of the statements finds the same. @numbers: of the accounts; NULL: their places. */
static void assert_lookup(const struct asked_account *accounts, size_t accounts_len, const int32_t *numbers,
                          const struct asked_key *keys, size_t keys_len)
{
        static const struct {
                const char *sql;
                const char *prepared;
        } lookups[] = {
                {ad_object_lookup_sql, NULL},
                {ad_object_lookup_many_sql, NULL},
                {NULL, AD_OBJECT_LOOKUP},
        };

        for (size_t i = 0; i < ARRAY_LEN(lookups); i++) {
                struct buf arrays[LOOKUP_ARRAYS] = {{0}};

                fill_lookup(arrays, accounts, accounts_len, numbers, keys, keys_len);
                assert_found(run_statement(lookups[i].sql, lookups[i].prepared, arrays, LOOKUP_ARRAYS), keys,
                             keys_len);
        }
}

static void prepare_lookups(void)
{
        assert_db_ok(&d, db_run(&d.db, fits_prepare_sql));
        assert_db_ok(&d, db_run(&d.db, ad_object_lookup_prepare_sql));
}

static void test_lookup(void **state)
{
        const struct platform_connection_new second = {.platform = PLATFORM_META,
                                                       .credentials = SLICE_LIT("{}")};
        struct uuid other_object;
        struct uuid other;
        struct uuid id;

        (void)state;
        prepare_lookups();
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

/* An answer about tables that changed means nothing. */
static void test_lookup_of_changed_tables(void **state)
{
        static const char *const changes[] = {
                "ALTER TABLE ad_objects ADD COLUMN more int",
                "ALTER TABLE ad_accounts ADD COLUMN more int",
                "ALTER TABLE platform_connections ADD COLUMN more int",
                "DROP INDEX ad_objects_parent_idx",
        };
        static const struct asked_account account = {"META", NULL, "act"};
        static const struct asked_key key = {1, "ad", 1, NULL};

        (void)state;
        prepare_lookups();
        for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
                for (int prepared = 0; prepared < 2; prepared++) {
                        struct buf arrays[LOOKUP_ARRAYS] = {{0}};
                        char why[FITS_TEXT_BYTES];
                        PGresult *res;

                        assert_db_ok(&d, db_run(&d.db, "BEGIN"));
                        assert_db_ok(&d, db_run(&d.db, changes[i]));
                        fill_lookup(arrays, &account, 1, NULL, &key, 1);
                        res = run_statement(ad_object_lookup_many_sql, prepared ? AD_OBJECT_LOOKUP : NULL,
                                            arrays, LOOKUP_ARRAYS);
                        assert_int_equal(PQresultStatus(res), PGRES_FATAL_ERROR);
                        assert_true(fits_read_error(PQresultErrorField(res, PG_DIAG_SQLSTATE),
                                                    PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY), why));
                        assert_string_equal(why, FITS_CHANGED);
                        PQclear(res);
                        assert_db_ok(&d, db_run(&d.db, "ROLLBACK"));
                }
        }
}

/* Whatever the planner assumes about tables that were never analyzed, each key is a look-up in the unique
 * index. */
static void assert_probes(const char *name, const char *statement, const char *arguments)
{
        static const char *const modes[] = {"force_custom_plan", "force_generic_plan"};
        char sql[8192];

        if (statement) {
                snprintf(sql, sizeof(sql), "PREPARE %s AS %s", name, statement);
                assert_db_ok(&d, db_run(&d.db, sql));
        }
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
        prepare_lookups();
#define LOOKUP_ARGUMENTS "'{META}', '{NULL}', '{act}', '{1}', " MANY("1") ", " MANY("'5'::text")
        assert_probes("lookup", ad_object_lookup_sql, LOOKUP_ARGUMENTS);
        assert_probes("many", ad_object_lookup_many_sql, LOOKUP_ARGUMENTS);
        assert_probes(AD_OBJECT_LOOKUP, NULL, LOOKUP_ARGUMENTS);
        assert_probes(
                "resolve", ad_object_resolve_sql,
                "'{META}', '{NULL}', '{act}', '{1}', " MANY("1") ", " MANY("'5'::text") ", " MANY("'AD'::text") ", " MANY(
                        "'6'::text") ", " MANY("'x'::text") ", " MANY("'ACTIVE'::text") ", " MANY("'{}'::jsonb") ", " MANY("1"));
        assert_probes(
                "upsert", ad_object_upsert_sql,
                MANY("gen_random_uuid()") ", " MANY("gen_random_uuid()") ", " MANY("'5'::text") ", " MANY("'AD'::text") ", " MANY(
                        "'x'::text") ", " MANY("'ACTIVE'::text") ", " MANY("gen_random_uuid()") ", " MANY("'{}'::jsonb"));
}

/* The daemon's sessions plan for tables that grow. */
static void test_plans_of_small_tables(void **state)
{
        (void)state;
        assert_db_ok(&d, db_run(&d.db, session_daemon_sql));
        assert_db_ok(&d, db_run(&d.db, "INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                                       "SELECT id, n::text, 'AD', 'ACTIVE' FROM ad_accounts, "
                                       "generate_series(1, 50) n; ANALYZE ad_accounts, ad_objects"));
        prepare_lookups();
        assert_db_ok(&d, db_run(&d.db, ad_object_write_prepare_sql));
        assert_probes(AD_OBJECT_LOOKUP, NULL, "'{META}', '{NULL}', '{act}', '{1}', '{1}', '{5}'");
        assert_probes(AD_OBJECT_RESOLVE, NULL,
                      "'{META}', '{NULL}', '{act}', '{1}', '{1}', '{5}', '{AD}', '{6}', '{x}', '{ACTIVE}', "
                      "ARRAY['{}'::jsonb], '{1}'");
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
        res = PQexec(d.db.pg, spending_copy_sql[LOCK_WAIT_LONG]);
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_database(test_lookup),    with_database(test_lookup_of_changed_tables),
                with_database(test_plans),     with_database(test_plans_of_small_tables),
                with_database(test_missing),   with_database(test_merge),
                with_database(test_merge_ids), with_database(test_merge_foreign_unique_index),
                with_database(test_copy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
