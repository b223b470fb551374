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
                /* these never cost a row */
                {"08006", SQLSTATE_RECONNECT},
                {"25006", SQLSTATE_RECONNECT},
                {"28P01", SQLSTATE_RECONNECT},
                {"42501", SQLSTATE_RECONNECT},
                {"53100", SQLSTATE_RECONNECT},
                {"53300", SQLSTATE_RECONNECT},
                {"57P01", SQLSTATE_RECONNECT},
                {"58030", SQLSTATE_RECONNECT},
                {"57P02", SQLSTATE_RECONNECT},
                {"XX001", SQLSTATE_RECONNECT},
                /* these do if nothing but the row can be to blame */
                {"XX000", SQLSTATE_SUSPECT},
                {"TS001", SQLSTATE_SUSPECT},
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

static void test_suspects(void **state)
{
        struct suspicion s = {0};

        (void)state;
        /* the server is broken: no matter how often, nothing is told by it */
        for (int i = 0; i < 5; i++) {
                assert_int_equal(suspect_failed(&s, "XX000", 2, false), SUSPECT_PROBE);
                assert_int_equal(suspect_probed(&s, "XX000"), SUSPECT_GIVE_UP);
        }
        for (int i = 0; i < 3; i++) {
                assert_int_equal(suspect_failed(&s, "XX000", 2, false), SUSPECT_PROBE);
                assert_int_equal(suspect_probed(&s, NULL), SUSPECT_PAUSE);
        }
        assert_int_equal(suspect_failed(&s, "XX000", 2, false), SUSPECT_HALVE);
        assert_int_equal(suspect_failed(&s, "XX000", 1, false), SUSPECT_PROBE);
        assert_int_equal(suspect_probed(&s, "53100"), SUSPECT_GIVE_UP);
        assert_int_equal(suspect_failed(&s, "XX000", 1, false), SUSPECT_PROBE);
        assert_int_equal(suspect_probed(&s, NULL), SUSPECT_RETRY);
        assert_int_equal(suspect_failed(&s, "XX000", 1, true), SUSPECT_REFUSE);
        assert_int_equal(suspect_failed(&s, "XX000", 1, false), SUSPECT_PROBE); /* another row */
}

/* A row that fails for what passes by itself is paused for, however often. */
static void test_suspects_that_cost_no_row(void **state)
{
        struct suspicion s = {.failures = 3};

        (void)state;
        assert_int_equal(suspect_failed(&s, "40001", 2, false), SUSPECT_HALVE);
        for (int i = 0; i < 20; i++) {
                assert_int_equal(suspect_failed(&s, "40001", 1, false), SUSPECT_PROBE);
                assert_int_equal(suspect_probed(&s, NULL), SUSPECT_RETRY);
                assert_int_equal(suspect_failed(&s, i % 2 ? "55P03" : "40P01", 1, true), SUSPECT_PAUSE);
        }
        assert_int_equal(suspect_failed(&s, "22P02", 1, true), SUSPECT_REFUSE);
}

static void test_probes_that_are_refused(void **state)
{
        struct suspicion s = {.failures = 3};

        (void)state;
        for (int i = 0; i < 9; i++)
                assert_int_equal(suspect_probed(&s, i % 2 ? "23514" : "23505"), SUSPECT_GIVE_UP);
        assert_int_equal(suspect_probed(&s, "HV000"), SUSPECT_GIVE_UP);
        for (int i = 0; i < 9; i++)
                assert_int_equal(suspect_probed(&s, "23514"), SUSPECT_GIVE_UP);
        assert_int_equal(suspect_probed(&s, "P0001"), SUSPECT_RETRY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_actions),
                cmocka_unit_test(test_suspects),
                cmocka_unit_test(test_suspects_that_cost_no_row),
                cmocka_unit_test(test_probes_that_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
