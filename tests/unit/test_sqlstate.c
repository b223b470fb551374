#include "test.h"

#include "sqlstate.h"

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
                /* these never cost a row */
                {"08006", SQLSTATE_RECONNECT},
                {"25006", SQLSTATE_RECONNECT},
                {"28P01", SQLSTATE_RECONNECT},
                {"42501", SQLSTATE_RECONNECT},
                {"42P01", SQLSTATE_RECONNECT},
                {"53100", SQLSTATE_RECONNECT},
                {"53300", SQLSTATE_RECONNECT},
                {"57P01", SQLSTATE_RECONNECT},
                {"58030", SQLSTATE_RECONNECT},
                {"57P02", SQLSTATE_RECONNECT},
                {"55000", SQLSTATE_RECONNECT},
                {"XX001", SQLSTATE_RECONNECT},
                /* these do if nothing but the row can be to blame */
                {"XX000", SQLSTATE_SUSPECT},
                {"TS001", SQLSTATE_SUSPECT},
                {"0A000", SQLSTATE_SUSPECT},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                if (sqlstate_action(cases[i].sqlstate) != cases[i].action)
                        fail_msg("%s", cases[i].sqlstate);
        }
}

static void test_suspects(void **state)
{
        struct suspicion s = {0};

        (void)state;
        for (int i = 0; i < 3; i++)
                assert_int_equal(suspect_next(&s, 1), SUSPECT_PAUSE);
        assert_int_equal(suspect_next(&s, 2), SUSPECT_HALVE);
        assert_int_equal(suspect_next(&s, 1), SUSPECT_PROBE);
        assert_false(suspect_probed(&s, "XX000"));
        assert_false(suspect_probed(&s, "53100"));
        assert_int_equal(suspect_next(&s, 1), SUSPECT_PROBE);
        assert_true(suspect_probed(&s, "23514")); /* who judges rows works */
        assert_int_equal(suspect_next(&s, 1), SUSPECT_REFUSE);
        assert_int_equal(suspect_next(&s, 1), SUSPECT_PROBE); /* another row */
        assert_true(suspect_probed(&s, NULL));
        assert_int_equal(suspect_next(&s, 1), SUSPECT_REFUSE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_actions),
                cmocka_unit_test(test_suspects),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
