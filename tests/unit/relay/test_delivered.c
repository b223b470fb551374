#include "relay/delivered.h"

#include "test.h"

static void assert_read(const char *reply)
{
        struct delivered d;

        assert_true(delivered_read(reply, &d));
        assert_int_equal(d.sequence, 17);
        assert_int_equal(d.number, 5);
        assert_int_equal(d.stored_ns, 1764365772616148327);
        assert_int_equal(d.pending, 3);
}

static void test_both_forms(void **state)
{
        (void)state;
        assert_read("$JS.ACK.BORIS.x1.1.17.5.1764365772616148327.3");
        assert_read("$JS.ACK._.ACCOUNT.BORIS.x1.1.17.5.1764365772616148327.3");
        assert_read("$JS.ACK.hub.ACCOUNT.BORIS.x1.1.17.5.1764365772616148327.3.token");
}

static void test_others(void **state)
{
        static const char *const replies[] = {"", "_INBOX.1", "$JS.ACK.", "$JS.ACK.BORIS.x.1.17.5.1",
                                              "$JS.ACK.BORIS.x.1.none.5.1.3"};
        struct delivered d;

        (void)state;
        assert_false(delivered_read(NULL, &d));
        for (size_t i = 0; i < ARRAY_LEN(replies); i++)
                assert_false(delivered_read(replies[i], &d));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_forms),
                cmocka_unit_test(test_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
