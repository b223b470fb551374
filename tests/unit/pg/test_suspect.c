/* Whether rows or the server are at fault: without proof neither; several rows are divided; a single row is
 * rejected, or waits, by its SQLSTATE. */
#include "test.h"

#include "pg/suspect.h"

static const char *const all[] = {"23514", "22P02", "P0001", "23505", "23503", "40001",
                                  "55P03", "57014", "53200", "53400", "25P04", "42501",
                                  "XX001", "TS001", "XX000", "42P01", "HV000"};

/* Whatever the error and however often it occurs, no row is rejected. */
static void test_without_proof_all_wait(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                struct suspicion s = {0};

                for (size_t n = 0; n < 100; n++) {
                        assert_int_equal(suspect_failed(&s, all[i], 1 + n % 2, false), SUSPECT_PROBE);
                        assert_int_equal(suspect_probed(&s, all[i], 1 + n % 2, false), SUSPECT_WAIT);
                }
                assert_int_equal(s.failures, 0);
        }
}

static void test_several_rows_are_divided(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                struct suspicion s = {0};

                assert_int_equal(suspect_failed(&s, all[i], 2, true), SUSPECT_DIVIDE);
                assert_int_equal(suspect_failed(&s, all[i], 1000, false), SUSPECT_PROBE);
                assert_int_equal(suspect_probed(&s, all[i], 1000, true), SUSPECT_DIVIDE);
        }
}

/* How often @sqlstate must occur before a single row is rejected; 0: not within 1,000 times. */
static unsigned failures_until_refused(const char *sqlstate)
{
        struct suspicion s = {0};

        for (unsigned n = 1; n <= 1000; n++) {
                assert_int_equal(suspect_failed(&s, sqlstate, 1, false), SUSPECT_PROBE);
                if (suspect_probed(&s, sqlstate, 1, true) == SUSPECT_REFUSE)
                        return n;
        }
        return 0;
}

static void test_a_row_alone(void **state)
{
        static const char *const data_errors[] = {"23514", "23502", "22P02", "44000",
                                                  "54000", "P0001", "23505"};
        static const char *const unforeseen[] = {"XX000", "42P01", "0A000", "HV000", "BR001", "23503"};
        static const char *const never[] = {"53200", "53400", "53100", "25P04", "42501",
                                            "XX001", "XX002", "58030", "57P02", "TS000",
                                            "TS103", "40001", "40P01", "55P03", "57014"};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(data_errors); i++)
                assert_int_equal(failures_until_refused(data_errors[i]), 1);
        for (size_t i = 0; i < ARRAY_LEN(unforeseen); i++)
                assert_int_equal(failures_until_refused(unforeseen[i]), SUSPECT_FAILURES_MAX);
        for (size_t i = 0; i < ARRAY_LEN(never); i++)
                assert_int_equal(failures_until_refused(never[i]), 0);
}

static void test_proof(void **state)
{
        (void)state;
        assert_false(suspect_proven(0, 0));
        assert_true(suspect_proven(1000, 900));
        assert_false(suspect_proven(1001, 900));
        assert_true(suspect_proven(1000, 5000));
}

/* However good older proof is, only a probe can reject a row. */
static void test_a_row_is_refused_behind_a_probe_only(void **state)
{
        struct suspicion s = {0};

        (void)state;
        assert_int_equal(suspect_failed(&s, "23514", 1, true), SUSPECT_PROBE);
        for (unsigned n = 1; n < SUSPECT_FAILURES_MAX; n++)
                assert_int_equal(suspect_failed(&s, "XX000", 1, true), SUSPECT_PAUSE);
        assert_int_equal(suspect_failed(&s, "XX000", 1, true), SUSPECT_PROBE);
        assert_int_equal(suspect_probed(&s, "XX000", 1, false), SUSPECT_WAIT);
        assert_int_equal(suspect_failed(&s, "XX000", 1, true), SUSPECT_PROBE);
        assert_int_equal(suspect_probed(&s, "XX000", 1, true), SUSPECT_REFUSE);
}

/* Failures of all rows do not count against a part of them. */
static void test_each_part_begins_anew(void **state)
{
        struct suspicion s = {.failures = SUSPECT_FAILURES_MAX, .lost = 7};
        struct suspicion part = suspect_divide(&s);

        (void)state;
        assert_int_equal(part.failures, 0);
        assert_false(suspect_needs_proof(&part));
        suspect_lost(&part);
        assert_true(suspect_needs_proof(&part));
        s = (struct suspicion){.failures = 3};
        part = suspect_divide(&s);
        suspect_lost(&part);
        assert_false(suspect_needs_proof(&part));
}

static void test_pauses_grow(void **state)
{
        struct suspicion s = {.failures = 1};

        (void)state;
        assert_int_equal(suspect_pause_ms(&s), 100);
        s.failures = 3;
        assert_int_equal(suspect_pause_ms(&s), 400);
        s.failures = 1000;
        assert_int_equal(suspect_pause_ms(&s), 6400);
        s = (struct suspicion){.lost = SUSPECT_LOST_MAX};
        assert_int_equal(suspect_pause_ms(&s), 1000);
        s.lost = 1000;
        assert_int_equal(suspect_pause_ms(&s), 64000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_proof_all_wait),
                cmocka_unit_test(test_several_rows_are_divided),
                cmocka_unit_test(test_a_row_alone),
                cmocka_unit_test(test_proof),
                cmocka_unit_test(test_a_row_is_refused_behind_a_probe_only),
                cmocka_unit_test(test_each_part_begins_anew),
                cmocka_unit_test(test_pauses_grow),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
