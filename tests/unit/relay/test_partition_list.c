#include "relay/partition_list.h"

#include "test.h"

static void test_numbers_and_ranges(void **state)
{
        unsigned n[PARTITIONS_MAX];

        (void)state;
        assert_int_equal(partition_list_read("0-3,7", n), 5);
        assert_int_equal(n[3], 3);
        assert_int_equal(n[4], 7);
        assert_int_equal(partition_list_read(" 5 , 2-2", n), 2);
        assert_int_equal(n[0], 5);
        assert_int_equal(partition_list_read("0-1023", n), 1024);
}

static void test_what_is_none(void **state)
{
        static const char *const texts[] = {"",
                                            ",",
                                            "x",
                                            "-1",
                                            "1-",
                                            "3-1",
                                            "1024",
                                            "0-1024",
                                            "1,1",
                                            "0-3,2",
                                            "1x",
                                            "1--2",
                                            "99999999999999999999"};
        unsigned n[PARTITIONS_MAX];

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_int_equal(partition_list_read(texts[i], n), 0);
}

static void test_subjects(void **state)
{
        static const char *const bad[] = {"",     ".a",   "a.",    "a..b", "a b", "a\tb",
                                          "a\nb", "a\rb", "a\x7f", "\x01", "*",   "a.>"};
        char longest[SUBJECT_MAX + 2] = "";

        (void)state;
        assert_true(is_subject("boris.rejects"));
        assert_true(is_subject("_INBOX.x-1.\xc3\xa9"));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(is_subject(bad[i]));
        memset(longest, 'a', SUBJECT_MAX);
        assert_true(is_subject(longest));
        longest[SUBJECT_MAX] = 'a';
        assert_false(is_subject(longest));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_subjects),
                cmocka_unit_test(test_numbers_and_ranges),
                cmocka_unit_test(test_what_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
