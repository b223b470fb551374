/* What a failed connection tells. */
#include "test.h"

#include "base/err.h"
#include "model/db.h"

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
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_secret_in_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
