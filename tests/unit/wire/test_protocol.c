#include "test.h"

#include <string.h>

#include "wire/protocol.h"

#define BYTES(literal) ((struct slice){literal, sizeof(literal) - 1})

static void test_bytes(void **state)
{
        (void)state;
        assert_int_equal(protocol_of_bytes(BYTES("\x16\x03\x01")), PROTOCOL_TLS);
        assert_int_equal(protocol_of_bytes(BYTES("\0\0\0\x08\x04\xd2\x16\x2f")), PROTOCOL_POSTGRESQL);
        assert_int_equal(protocol_of_bytes(BYTES("\0\0\x01\x08\0\3\0\0")), PROTOCOL_POSTGRESQL);
        assert_int_equal(protocol_of_bytes(BYTES("\0\0\0\x1b\0\x12\0\3")), PROTOCOL_KAFKA);
        assert_int_equal(protocol_of_bytes(BYTES("AMQP\0\0\x09\1")), PROTOCOL_AMQP);
        assert_int_equal(protocol_of_bytes(BYTES("\r\n\r\n\0\r\nQUIT\n!")), PROTOCOL_PROXY);
}

/* Beginnings of records, of other bad lines, and of what more bytes may turn into a protocol's. */
static void test_other_bytes(void **state)
{
        static const struct slice others[] = {
                BYTES(""),
                BYTES("{"),
                BYTES("\x16"),
                BYTES("\x16\x02"),
                BYTES("\0\0\0"),
                BYTES("\0{\0\"\0p"),
                BYTES("\0\0\0{\0\0\0"),
                BYTES("\r\n\r\n{}"),
                BYTES("AMQP\n"),
                BYTES("{\"\x16\x03"),
                BYTES("\x1f\x8b\x08\0\0\0\0"),
        };

        (void)state;
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                assert_int_equal(protocol_of_bytes(others[i]), PROTOCOL_NONE);
}

static void test_lines(void **state)
{
        (void)state;
        assert_int_equal(protocol_of_line(BYTES("GET / HTTP/1.1"), false), PROTOCOL_HTTP);
        assert_int_equal(protocol_of_line(BYTES("SSH-2.0-x"), false), PROTOCOL_SSH);
        assert_int_equal(protocol_of_line(BYTES("*12"), false), PROTOCOL_REDIS);
        assert_int_equal(protocol_of_line(BYTES("PROXY TCP6 ::1 ::1 1 2"), false), PROTOCOL_PROXY);
        assert_int_equal(protocol_of_line(BYTES(""), false), PROTOCOL_NONE);
        assert_int_equal(protocol_of_line(BYTES("*"), false), PROTOCOL_NONE);
        assert_int_equal(protocol_of_line(BYTES("*1x"), false), PROTOCOL_NONE);
        assert_int_equal(protocol_of_line(BYTES("{}"), false), PROTOCOL_NONE);
}

static void test_every_mistake_has_a_text(void **state)
{
        (void)state;
        for (enum protocol p = PROTOCOL_NONE + 1; p < PROTOCOLS; p++)
                assert_true(strlen(protocol_mistake(p)) > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_other_bytes),
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_every_mistake_has_a_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
