/* Encrypted credentials, and the keys for them. */
#include "test.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64url.h"
#include "base/jwe.h"

static const char aad[] = "552dd041-9bdd-5ed5-998c-3a678ba7bf0c";

static struct slice text_of(const struct buf *b)
{
        return (struct slice){b->data, b->len};
}

static void test_base64url(void **state)
{
        static const struct {
                const char *bytes;
                const char *text;
        } good[] = {{"", ""},          {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"\xfb\xff\xfe", "-__-"},
                    {"foob", "Zm9vYg"}};
        static const char *const bad[] = {"Z", "Zh", "Zm9=", "Zm 9", "Zm9v+", "Zm9vYh", "Zm9vY"};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                struct buf text = {0};
                struct buf bytes = {0};

                base64url_put(&text, good[i].bytes, strlen(good[i].bytes));
                assert_true(slice_eq(text_of(&text), slice_str(good[i].text)));
                assert_true(base64url_read(&bytes, slice_str(good[i].text)));
                assert_true(slice_eq(text_of(&bytes), slice_str(good[i].bytes)));
                buf_deinit(&text);
                buf_deinit(&bytes);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct buf bytes = {0};

                assert_false(base64url_read(&bytes, slice_str(bad[i])));
                buf_deinit(&bytes);
        }
}

static void load_keys(struct jwk_set *keys, const char *text)
{
        char path[] = "/tmp/test_jwe-XXXXXX";
        char error[JWK_ERROR_BYTES];
        int fd = mkstemp(path);

        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
        if (jwk_set_load(keys, path, error) != 0)
                fail_msg("%s", error);
        unlink(path);
}

static void test_round_trip(void **state)
{
        static const char keys_text[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a \\\"b\\\"\",\"k\":"
                                        "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}";
        static const char plain[] = "{\"token\":\"x\"}";
        struct jwk_set keys;
        struct buf jwe = {0};
        char kid[JWK_KID_BYTES];

        (void)state;
        load_keys(&keys, keys_text);
        assert_string_equal(keys.items[0].kid, "a \"b\"");
        jwe_encrypt(&keys.items[0], aad, slice_str(plain), &jwe);
        assert_true(jwe_is(text_of(&jwe)));
        assert_false(jwe_is(slice_str(plain)));
        for (size_t i = 0; i <= jwe.len; i++) { /* whole, and each byte altered */
                struct buf altered = {0};
                struct buf out = {0};
                const char *why;

                buf_put(&altered, jwe.data, jwe.len);
                if (i < jwe.len)
                        altered.data[i] ^= 1;
                why = jwe_decrypt(&keys, aad, text_of(&altered), &out, kid);
                assert_int_equal(why == NULL, i == jwe.len);
                assert_true(why ? out.len == 0 : slice_eq(text_of(&out), slice_str(plain)));
                buf_deinit(&altered);
                buf_deinit(&out);
        }
        assert_string_equal(kid, "a \"b\"");
        buf_deinit(&jwe);
        jwk_set_deinit(&keys);
}

/* As JSON it has more bytes than a kid may have. */
static void test_kid_of_quotes(void **state)
{
        static const char format[] = "{\"kty\":\"oct\",\"kid\":\"%s\","
                                     "\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}";
        char escaped[2 * JWK_KID_BYTES] = "";
        char text[sizeof(format) + sizeof(escaped)];
        struct jwk_set keys;
        struct buf jwe = {0};
        struct buf out = {0};
        char kid[JWK_KID_BYTES];

        (void)state;
        for (size_t i = 0; i + 1 < JWK_KID_BYTES; i++)
                strcat(escaped, "\\\"");
        snprintf(text, sizeof(text), format, escaped);
        load_keys(&keys, text);
        jwe_encrypt(&keys.items[0], aad, SLICE_LIT("{}"), &jwe);
        assert_null(jwe_decrypt(&keys, aad, text_of(&jwe), &out, kid));
        assert_string_equal(kid, keys.items[0].kid);
        assert_int_equal(strlen(kid), JWK_KID_BYTES - 1);
        buf_deinit(&jwe);
        buf_deinit(&out);
        jwk_set_deinit(&keys);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_base64url),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_kid_of_quotes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
