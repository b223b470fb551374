/* The four entities on a real server. */
#include "model_database.h"

#include "base/err.h"
#include "model/ad_account.h"
#include "model/ad_object.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_database(test_platform_connection),
                with_database(test_platform_connection_list),
                with_database(test_ad_account),
                with_database(test_ad_object),
                with_database(test_enums),
                with_database(test_cascade),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
