#include "test.h"

#include "pg/sqlstate.h"

static void test_actions(void **state)
{
        static const struct {
                const char *sqlstate;
                enum sqlstate_action action;
        } cases[] = {
                {"23505", SQLSTATE_MERGE},
                {"23503", SQLSTATE_MISSING},
                {"23514", SQLSTATE_ISOLATE},
                {"23502", SQLSTATE_ISOLATE},
                {"22P02", SQLSTATE_ISOLATE},
                {"22003", SQLSTATE_ISOLATE},
                {"54001", SQLSTATE_ISOLATE},
                {"P0001", SQLSTATE_ISOLATE},
                {"40001", SQLSTATE_RETRY},
                {"40P01", SQLSTATE_RETRY},
                {"57014", SQLSTATE_RETRY},
                /* these never reject a row */
                {"08006", SQLSTATE_SERVER},
                {"25006", SQLSTATE_SERVER},
                {"28P01", SQLSTATE_SERVER},
                {"42501", SQLSTATE_SERVER},
                {"53100", SQLSTATE_SERVER},
                {"53300", SQLSTATE_SERVER},
                {"57P01", SQLSTATE_SERVER},
                {"58030", SQLSTATE_SERVER},
                {"57P02", SQLSTATE_SERVER},
                {"XX001", SQLSTATE_SERVER},
                {"53200", SQLSTATE_SERVER},
                {"53400", SQLSTATE_SERVER},
                {"25P04", SQLSTATE_SERVER},
                {"TS000", SQLSTATE_SERVER},
                {"TS001", SQLSTATE_SERVER},
                {"TS500", SQLSTATE_SERVER},
                /* these do, if only the row can be at fault */
                {"XX000", SQLSTATE_SUSPECT},
                {"0A000", SQLSTATE_SUSPECT},
                {"42P01", SQLSTATE_SUSPECT},
                {"42703", SQLSTATE_SUSPECT},
                {"55000", SQLSTATE_SUSPECT},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                if (sqlstate_action(cases[i].sqlstate) != cases[i].action)
                        fail_msg("%s", cases[i].sqlstate);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_actions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
