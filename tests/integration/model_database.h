#ifndef TEST_MODEL_DATABASE_H
#define TEST_MODEL_DATABASE_H

/* A database with a connection, its account "act" and the account's ad object "ad". */

#include "database.h"

#include "model/platform_connection.h"

/* 2026-01-01 00:00 UTC. */
static const int64_t T0 = INT64_C(1767225600000000);
static const int64_t DAY = INT64_C(86400000000);

static struct database d;
static struct uuid connection_id;
static struct uuid account_id;
static struct uuid object_id;

/* An account of @connection and an object in it, both with the given external ids. */
static inline void make_account(const struct uuid *connection, const char *account, const char *object,
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

static inline int make(void **state)
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

static inline int drop(void **state)
{
        (void)state;
        database_drop(&d);
        return 0;
}

static inline void assert_uuid_equal(const struct uuid *a, const struct uuid *b)
{
        assert_memory_equal(a->bytes, b->bytes, sizeof(a->bytes));
}

static inline struct uuid number(unsigned n)
{
        struct uuid uuid = {{0}};

        uuid.bytes[14] = (uint8_t)(n >> 8);
        uuid.bytes[15] = (uint8_t)n;
        return uuid;
}

#define with_database(test) cmocka_unit_test_setup_teardown(test, make, drop)

#endif
