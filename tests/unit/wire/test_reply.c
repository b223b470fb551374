#include "test.h"

#include "wire/reply.h"

static void assert_text(struct buf *b, const char *text)
{
        buf_put(b, "", 1);
        assert_string_equal(b->data, text);
        buf_deinit(b);
}

static void test_ack(void **state)
{
        struct acks acks = {.settled = 20000, .counts = {19990, 7, 2, 1}};
        struct buf b = {0};

        (void)state;
        reply_ack(&b, &acks, false);
        assert_text(&b, "{\"ack\":20000,\"stored\":19990,\"duplicate\":7,\"rejected\":2}\n");
        acks = (struct acks){.settled = UINT64_MAX,
                             .counts = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
        reply_ack(&b, &acks, true);
        assert_text(&b, "{\"ack\":18446744073709551615,\"stored\":18446744073709551615,"
                        "\"duplicate\":18446744073709551615,\"rejected\":18446744073709551615,"
                        "\"spooled\":18446744073709551615}\n");
}

static void test_reject(void **state)
{
        struct reject reject;
        struct buf b = {0};

        (void)state;
        reject_set(&reject, REJECT_UNKNOWN_AD_OBJECT, "externalId", "no ad object \"%s\"",
                   "a\n\x01\xf0\x9f\x98\x80");
        reply_reject(&b, 17, &reject);
        assert_text(&b, "{\"reject\":17,\"code\":\"unknown_ad_object\",\"field\":\"externalId\","
                        "\"message\":\"no ad object \\\"a\\n\\u0001\xf0\x9f\x98\x80\\\"\"}\n");
        reject_set(&reject, REJECT_BAD_JSON, NULL, "x");
        reply_reject(&b, UINT64_MAX, &reject);
        assert_text(&b, "{\"reject\":18446744073709551615,\"code\":\"bad_json\",\"message\":\"x\"}\n");
}

static void test_closing(void **state)
{
        struct buf b = {0};

        (void)state;
        reply_closing(&b, "shutdown");
        assert_text(&b, "{\"closing\":\"shutdown\"}\n");
}

static void test_long_message_is_cut_between_characters(void **state)
{
        struct reject reject;
        char text[3 * REJECT_MESSAGE_BYTES];

        (void)state;
        for (size_t shift = 0; shift < 4; shift++) {
                size_t len = 0;

                memset(text, 'x', shift);
                for (len = shift; len + 4 < sizeof(text); len += 4)
                        memcpy(text + len, "\xf0\x9f\x98\x80", 4);
                text[len] = '\0';
                reject_set(&reject, REJECT_BAD_VALUE, text, "%s", text);
                for (size_t i = 0; i < 2; i++) {
                        const char *cut = i ? reject.message : reject.field;
                        size_t cut_len = strlen(cut);

                        assert_string_equal(cut + cut_len - 3, "...");
                        assert_int_equal((cut_len - 3 - shift) % 4, 0);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ack),
                cmocka_unit_test(test_reject),
                cmocka_unit_test(test_closing),
                cmocka_unit_test(test_long_message_is_cut_between_characters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
