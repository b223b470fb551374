/* The four entities on a real server, and the statements that the daemon runs by itself. */
#include "database.h"

#include <endian.h>

#include <libpq-fe.h>

#include "copy_format.h"
#include "pg_array.h"
#include "err.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "model/platform_connection.h"
#include "model/spending.h"

enum { MAX_ROWS = 16 };

/* 2026-01-01 00:00 UTC. */
static const int64_t T0 = INT64_C(1767225600000000);
static const int64_t DAY = INT64_C(86400000000);

static struct database d;
static struct uuid connection_id;
static struct uuid account_id;
static struct uuid object_id;

static int make(void **state)
{
        const struct platform_connection_new connection = {.platform = PLATFORM_META,
                                                           .credentials = SLICE_LIT("{}")};
        struct ad_account_new account = {
                .external_id = SLICE_LIT("act"), .currency = SLICE_LIT("USD"), .timezone = SLICE_LIT("UTC")};
        struct ad_object_new object = {.external_id = SLICE_LIT("ad"), .type = AD_OBJECT_TYPE_AD};

        (void)state;
        database_make(&d);
        assert_db_ok(&d, database_migrate(&d));
        assert_db_ok(&d, platform_connection_insert(&d.db, &connection, &connection_id));
        account.platform_connection_id = connection_id;
        assert_db_ok(&d, ad_account_insert(&d.db, &account, &account_id));
        object.ad_account_id = account_id;
        assert_db_ok(&d, ad_object_insert(&d.db, &object, &object_id));
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
        struct platform_connection found;
        struct platform_connection_new row = {
                .id = &own,
                .platform = PLATFORM_GOOGLE_ADS,
                .credentials = SLICE_LIT("{\"token\": \"\\u00e4'\\\"\", \"n\": 1.50}"),
        };

        (void)state;
        assert_db_ok(&d, platform_connection_insert(&d.db, &row, &id));
        assert_uuid_equal(&id, &own);
        assert_db_ok(&d, platform_connection_find(&d.db, &id, &found));
        assert_uuid_equal(&found.id, &own);
        assert_int_equal(found.platform, PLATFORM_GOOGLE_ADS);
        assert_string_equal(found.credentials, "{\"n\": 1.50, \"token\": \"ä'\\\"\"}");
        assert_true(found.created_at > T0 && found.created_at == found.updated_at);
        platform_connection_deinit(&found);

        assert_int_equal(platform_connection_insert(&d.db, &row, &id), ERR_EXISTS);
        row.id = NULL;
        row.credentials = SLICE_LIT("{\"token\": s3cr3t}");
        assert_int_equal(platform_connection_insert(&d.db, &row, &id), ERR_INVALID);
        assert_null(strstr(d.db.error, "s3cr3t"));
        id = number(8);
        assert_int_equal(platform_connection_find(&d.db, &id, &found), ERR_NOT_FOUND);
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
        struct ad_account_new row = {
                .platform_connection_id = connection_id,
                .external_id = SLICE_LIT("0017 "),
                .name = SLICE_LIT("Zoë's shop; DROP TABLE spending"),
                .currency = SLICE_LIT("EUR"),
                .timezone = SLICE_LIT("America/Los_Angeles"),
        };
        struct ad_account found;
        struct uuid id;

        (void)state;
        assert_db_ok(&d, ad_account_insert(&d.db, &row, &id));
        assert_db_ok(&d, ad_account_find(&d.db, &id, &found));
        assert_uuid_equal(&found.id, &id);
        assert_uuid_equal(&found.platform_connection_id, &connection_id);
        assert_string_equal(found.external_id, "0017 ");
        assert_string_equal(found.name, "Zoë's shop; DROP TABLE spending");
        assert_string_equal(found.currency, "EUR");
        assert_string_equal(found.timezone, "America/Los_Angeles");
        assert_true(found.created_at > T0 && found.created_at == found.updated_at);
        ad_account_deinit(&found);

        assert_db_ok(&d, ad_account_find_external(&d.db, &connection_id, SLICE_LIT("0017 "), &found));
        assert_uuid_equal(&found.id, &id);
        ad_account_deinit(&found);
        assert_int_equal(ad_account_find_external(&d.db, &connection_id, SLICE_LIT("0017"), &found),
                         ERR_NOT_FOUND);
        assert_int_equal(ad_account_find_external(&d.db, &connection_id, SLICE_LIT("17"), &found),
                         ERR_NOT_FOUND);
        assert_int_equal(ad_account_insert(&d.db, &row, &id), ERR_EXISTS);

        row.external_id = SLICE_LIT("17");
        row.name = (struct slice){0};
        assert_db_ok(&d, ad_account_insert(&d.db, &row, &id));
        assert_db_ok(&d, ad_account_find(&d.db, &id, &found));
        assert_null(found.name);
        ad_account_deinit(&found);
        row.platform_connection_id = number(1);
        assert_int_equal(ad_account_insert(&d.db, &row, &id), ERR_INVALID);
}

/* --- objects --- */

static void test_ad_object(void **state)
{
        struct ad_object_new row = {
                .ad_account_id = account_id,
                .external_id = SLICE_LIT("1712345678901234567"),
                .type = AD_OBJECT_TYPE_AD_SET,
                .name = SLICE_LIT(""),
                .status = AD_OBJECT_STATUS_ARCHIVED,
                .parent_id = &object_id,
                .platform_data = SLICE_LIT("{\"budget\":12345678901234567890.10}"),
        };
        struct ad_object found;
        struct uuid id;

        (void)state;
        assert_db_ok(&d, ad_object_insert(&d.db, &row, &id));
        assert_db_ok(&d, ad_object_find(&d.db, &id, &found));
        assert_uuid_equal(&found.ad_account_id, &account_id);
        assert_string_equal(found.external_id, "1712345678901234567");
        assert_int_equal(found.type, AD_OBJECT_TYPE_AD_SET);
        assert_string_equal(found.name, "");
        assert_int_equal(found.status, AD_OBJECT_STATUS_ARCHIVED);
        assert_true(found.has_parent);
        assert_uuid_equal(&found.parent_id, &object_id);
        assert_string_equal(found.platform_data, "{\"budget\": 12345678901234567890.10}");
        ad_object_deinit(&found);

        assert_db_ok(&d, ad_object_find_external(&d.db, &account_id, SLICE_LIT("ad"), &found));
        assert_uuid_equal(&found.id, &object_id);
        assert_int_equal(found.type, AD_OBJECT_TYPE_AD);
        assert_int_equal(found.status, AD_OBJECT_STATUS_ACTIVE);
        assert_false(found.has_parent);
        assert_null(found.name);
        assert_null(found.platform_data);
        ad_object_deinit(&found);

        assert_int_equal(ad_object_insert(&d.db, &row, &id), ERR_EXISTS);
        row.external_id = SLICE_LIT("2");
        row.platform_data = SLICE_LIT("{");
        assert_int_equal(ad_object_insert(&d.db, &row, &id), ERR_INVALID);
        id = number(1);
        row.platform_data = (struct slice){0};
        row.parent_id = &id;
        assert_int_equal(ad_object_insert(&d.db, &row, &id), ERR_INVALID);
        assert_int_equal(ad_object_find(&d.db, &id, &found), ERR_NOT_FOUND);
        assert_int_equal(db_run(&d.db, "UPDATE ad_objects SET parent_id = id"), ERR_INVALID);
        assert_non_null(strstr(d.db.error, "ad_objects_no_self_parent"));
}

static void test_enums(void **state)
{
        static const enum ad_object_type types[] = {AD_OBJECT_TYPE_CAMPAIGN, AD_OBJECT_TYPE_AD_SET,
                                                    AD_OBJECT_TYPE_AD};
        static const enum ad_object_status statuses[] = {AD_OBJECT_STATUS_ACTIVE, AD_OBJECT_STATUS_PAUSED,
                                                         AD_OBJECT_STATUS_ARCHIVED, AD_OBJECT_STATUS_DELETED};
        enum ad_object_type type;
        enum ad_object_status status;
        struct ad_object found;
        char name[16];
        struct uuid id;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(types) * ARRAY_LEN(statuses); i++) {
                struct ad_object_new row = {
                        .ad_account_id = account_id,
                        .type = types[i % ARRAY_LEN(types)],
                        .status = statuses[i / ARRAY_LEN(types)],
                };

                snprintf(name, sizeof(name), "%zu", i);
                row.external_id = slice_str(name);
                assert_db_ok(&d, ad_object_insert(&d.db, &row, &id));
                assert_db_ok(&d, ad_object_find(&d.db, &id, &found));
                assert_int_equal(found.type, row.type);
                assert_int_equal(found.status, row.status);
                assert_true(ad_object_type_parse(slice_str(ad_object_type_name(row.type)), &type) &&
                            type == row.type);
                assert_true(ad_object_status_parse(slice_str(ad_object_status_name(row.status)), &status) &&
                            status == row.status);
                ad_object_deinit(&found);
        }
        assert_false(ad_object_type_parse(SLICE_LIT("ad"), &type));
        assert_false(ad_object_status_parse(SLICE_LIT("ACTIVE "), &status));
}

/* --- spending --- */

static void test_spending(void **state)
{
        struct uuid own = number(5);
        int64_t when = T0 + 1;
        struct spending_new row = {
                .id = &own,
                .ad_object_id = object_id,
                .collected_at = &when,
                .period_start = T0 - 1,
                .period_end = T0,
                .amount_cents = INT64_MIN,
                .currency = SLICE_LIT("USD"),
                .impressions = {true, INT64_MAX},
                .clicks = {true, 0},
                .metrics = SLICE_LIT("{\"ctr\":12345678901234567890.123456789}"),
        };
        struct spending_list list;
        struct uuid id;

        (void)state;
        assert_db_ok(&d, spending_insert(&d.db, &row, &id));
        assert_db_ok(&d, spending_find(&d.db, &own, &list));
        assert_int_equal(list.len, 1);
        assert_uuid_equal(&list.rows[0].id, &own);
        assert_uuid_equal(&list.rows[0].ad_object_id, &object_id);
        assert_int_equal(list.rows[0].collected_at, T0 + 1);
        assert_int_equal(list.rows[0].period_start, T0 - 1);
        assert_int_equal(list.rows[0].period_end, T0);
        assert_true(list.rows[0].amount_cents == INT64_MIN);
        assert_string_equal(list.rows[0].currency, "USD");
        assert_true(list.rows[0].impressions.known && list.rows[0].impressions.value == INT64_MAX);
        assert_true(list.rows[0].clicks.known && list.rows[0].clicks.value == 0);
        assert_false(list.rows[0].conversions.known);
        assert_string_equal(list.rows[0].metrics, "{\"ctr\": 12345678901234567890.123456789}");
        spending_list_deinit(&list);

        assert_int_equal(spending_insert(&d.db, &row, &id), ERR_EXISTS);
        row.metrics = (struct slice){0};
        when = T0 + 30 * DAY;
        assert_db_ok(&d, spending_insert(&d.db, &row, &id));
        row.id = NULL;
        row.collected_at = NULL;
        assert_db_ok(&d, spending_insert(&d.db, &row, &id));
        assert_db_ok(&d, spending_find(&d.db, &own, &list));
        assert_int_equal(list.len, 2);
        assert_int_equal(list.rows[0].collected_at, when);
        assert_null(list.rows[0].metrics);
        spending_list_deinit(&list);

        assert_db_ok(&d, spending_find_by_ad_object(&d.db, &object_id, 2, &list));
        assert_int_equal(list.len, 2);
        assert_uuid_equal(&list.rows[0].id, &id);
        assert_true(list.rows[0].collected_at > when);
        assert_int_equal(list.rows[1].collected_at, when);
        spending_list_deinit(&list);
        assert_db_ok(&d, spending_find_by_ad_object(&d.db, &own, 2, &list));
        assert_int_equal(list.len, 0);
        spending_list_deinit(&list);
        row.ad_object_id = own;
        assert_int_equal(spending_insert(&d.db, &row, &id), ERR_INVALID);
}

static void test_cascade(void **state)
{
        int64_t when = T0;
        struct spending_new row = {
                .ad_object_id = object_id, .collected_at = &when, .currency = SLICE_LIT("USD")};
        struct uuid id;

        (void)state;
        for (int i = 0; i < 5; i++, when += 7 * DAY)
                assert_db_ok(&d, spending_insert(&d.db, &row, &id));
        assert_db_ok(&d, db_run(&d.db, "DELETE FROM platform_connections"));
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

static void add_text(struct buf *array, const char *text)
{
        pg_array_add(array, text, strlen(text));
}

static void add_i32(struct buf *array, int32_t value)
{
        char be[4];

        put_be32(be, (uint32_t)value);
        pg_array_add(array, be, sizeof(be));
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

static void assert_lookup(const struct asked_account *accounts, size_t accounts_len,
                          const struct asked_key *keys, size_t keys_len)
{
        struct buf arrays[5] = {{0}};
        PGresult *res;

        pg_array_begin(&arrays[0], PG_OID_TEXT, accounts_len);
        pg_array_begin(&arrays[1], PG_OID_UUID, accounts_len);
        pg_array_begin(&arrays[2], PG_OID_TEXT, accounts_len);
        for (size_t i = 0; i < accounts_len; i++) {
                add_text(&arrays[0], accounts[i].platform);
                pg_array_add(&arrays[1], accounts[i].connection_id, sizeof(struct uuid));
                add_text(&arrays[2], accounts[i].external_id);
        }
        pg_array_begin(&arrays[3], PG_OID_INT4, keys_len);
        pg_array_begin(&arrays[4], PG_OID_TEXT, keys_len);
        for (size_t i = 0; i < keys_len; i++) {
                add_i32(&arrays[3], keys[i].account);
                add_text(&arrays[4], keys[i].external_id);
        }
        res = query_arrays(ad_object_lookup_sql, arrays, 5);
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
        struct ad_account_new account = {
                .external_id = SLICE_LIT("act"), .currency = SLICE_LIT("USD"), .timezone = SLICE_LIT("UTC")};
        struct ad_object_new object = {.external_id = SLICE_LIT("ad")};
        struct uuid other_object;
        struct uuid other;
        struct uuid id;

        (void)state;
        assert_db_ok(&d, platform_connection_insert(&d.db, &second, &other));
        account.platform_connection_id = other;
        assert_db_ok(&d, ad_account_insert(&d.db, &account, &id));
        object.ad_account_id = id;
        assert_db_ok(&d, ad_object_insert(&d.db, &object, &other_object));
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

                assert_lookup(accounts, ARRAY_LEN(accounts), keys, ARRAY_LEN(keys));
                assert_lookup(accounts, ARRAY_LEN(accounts), keys, 0);
        }
}

/* Whatever the planner believes of tables that were never analyzed: each key is a probe of the unique index.
 */
static void test_lookup_plan(void **state)
{
        static const char *const modes[] = {"force_custom_plan", "force_generic_plan"};
        char sql[4096];

        (void)state;
        assert_db_ok(&d, db_run(&d.db, "INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                                       "SELECT id, n::text, 'AD', 'ACTIVE' FROM ad_accounts, "
                                       "generate_series(1, 20000) n"));
        assert_db_ok(&d, db_run(&d.db, "SET jit_above_cost = 10000")); /* what a million objects cost, here */
        snprintf(sql, sizeof(sql), "PREPARE lookup AS %s", ad_object_lookup_sql);
        assert_db_ok(&d, db_run(&d.db, sql));
        for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
                bool probes = false;
                PGresult *res;

                snprintf(sql, sizeof(sql), "SET plan_cache_mode = %s", modes[i]);
                assert_db_ok(&d, db_run(&d.db, sql));
                snprintf(sql, sizeof(sql),
                         "EXPLAIN EXECUTE lookup('{META}', '{NULL}', '{act}', "
                         "array_fill(1, ARRAY[10000]), array_fill('5'::text, ARRAY[10000]))");
                res = PQexec(d.db.pg, sql);
                assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
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
static void assert_merge(const struct row *rows, size_t len, const char *inserted)
{
        struct buf arrays[COPY_FORMAT_ARRAYS] = {{0}};
        char got[MAX_ROWS + 1];
        PGresult *res;

        copy_format_arrays(arrays, rows, len);
        res = query_arrays(spending_merge_sql, arrays, COPY_FORMAT_ARRAYS);
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

static void test_merge(void **state)
{
        struct row rows[] = {
                make_row(3, T0, 1),           /* new */
                make_row(1, T0, 2),           /* new */
                make_row(3, T0, 3),           /* the first one's key */
                make_row(3, T0 + 40 * DAY, 4) /* another key, in another chunk */
        };
        struct spending_list list;
        struct uuid id = number(3);

        (void)state;
        rows[1].rec.nulls =
                RECORD_NULL_IMPRESSIONS | RECORD_NULL_CLICKS | RECORD_NULL_CONVERSIONS | RECORD_NULL_METRICS;
        assert_merge(rows, 4, "xx.x");
        assert_merge(rows, 4, "....");
        rows[1] = make_row(2, T0, 5);
        assert_merge(rows, 4, ".x..");
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending"), 4);

        assert_db_ok(&d, spending_find(&d.db, &id, &list));
        assert_int_equal(list.len, 2);
        assert_int_equal(list.rows[0].amount_cents, 4);
        assert_int_equal(list.rows[1].amount_cents, 1);
        assert_string_equal(list.rows[1].metrics, "{\"n\": 1.10}");
        assert_int_equal(list.rows[1].impressions.value, 3);
        assert_false(list.rows[1].clicks.known);
        spending_list_deinit(&list);
        id = number(1);
        assert_db_ok(&d, spending_find(&d.db, &id, &list));
        assert_int_equal(list.len, 1);
        assert_false(list.rows[0].impressions.known);
        assert_null(list.rows[0].metrics);
        spending_list_deinit(&list);
}

/* Rows of which only the id counts. */
static void test_merge_any_time(void **state)
{
        struct row first[] = {make_row(1, T0, 1), make_row(2, T0, 2)};
        struct row rows[] = {
                make_row(1, T0 + 9 * DAY, 3),  /* its id is stored, a week before */
                make_row(4, T0 + 9 * DAY, 4),  /* new */
                make_row(4, T0 + 10 * DAY, 5), /* the id of the row above */
                make_row(5, T0 + 9 * DAY, 6),  /* new, the only one that has a time of its own */
                make_row(5, T0 + 10 * DAY, 7), /* the id of the row above */
                make_row(4, T0 + 9 * DAY, 8),  /* again, at the same moment */
        };

        (void)state;
        assert_merge(first, 2, "xx");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                rows[i].rec.any_time = i != 3;
        assert_merge(rows, ARRAY_LEN(rows), ".x.x..");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                rows[i].rec.collected_at += 20 * DAY;
        assert_merge(rows, ARRAY_LEN(rows), "...x..");
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending"), 5);
}

/* A unique index of somebody's own is not taken for a duplicate: the row would be lost in silence. */
static void test_merge_foreign_unique_index(void **state)
{
        struct row rows[] = {make_row(1, T0, 1), make_row(2, T0, 1)};
        struct buf arrays[COPY_FORMAT_ARRAYS] = {{0}};
        PGresult *res;

        (void)state;
        assert_db_ok(&d, db_run(&d.db, "CREATE UNIQUE INDEX once ON spending (amount_cents, collected_at)"));
        copy_format_arrays(arrays, rows, 2);
        res = run_arrays(spending_merge_sql, arrays, COPY_FORMAT_ARRAYS);
        assert_string_equal(PQresultErrorField(res, PG_DIAG_SQLSTATE), "23505");
        PQclear(res);
}

static void test_copy(void **state)
{
        struct row rows[] = {make_row(1, T0, -5), make_row(2, T0 + 8 * DAY, INT64_MAX)};
        struct buf data = {0};
        struct spending_list list;
        PGresult *res;

        (void)state;
        copy_format_header(&data);
        copy_format_row(&data, &rows[0].rec);
        copy_format_row(&data, &rows[1].rec);
        copy_format_trailer(&data);
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
        assert_db_ok(&d, spending_find_by_ad_object(&d.db, &object_id, 10, &list));
        assert_int_equal(list.len, 2);
        assert_true(list.rows[0].amount_cents == INT64_MAX);
        assert_int_equal(list.rows[0].collected_at, T0 + 8 * DAY);
        assert_int_equal(list.rows[1].amount_cents, -5);
        assert_int_equal(list.rows[1].period_end, T0 + DAY);
        assert_string_equal(list.rows[1].currency, "USD");
        spending_list_deinit(&list);
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
                with_database(test_spending),
                with_database(test_cascade),
                with_database(test_lookup),
                with_database(test_lookup_plan),
                with_database(test_missing),
                with_database(test_merge),
                with_database(test_merge_any_time),
                with_database(test_merge_foreign_unique_index),
                with_database(test_copy),
                cmocka_unit_test(test_no_secret_in_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
