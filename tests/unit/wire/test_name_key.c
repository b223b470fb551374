#include "test.h"

#include "wire/name_key.h"

static struct name_key name(const char *account, const char *object)
{
        struct name_key k = {.len = 0};

        name_key_account(&k, PLATFORM_META, NULL, (struct json_string){slice_str(account), false});
        name_key_id(&k, (struct json_string){slice_str(object), false});
        return k;
}

static bool alike(const struct name_key *a, const struct name_key *b, const struct name_key_secret *secret)
{
        return XXH128_isEqual(name_key_hash(a, secret), name_key_hash(b, secret));
}

/* Every byte matters, in short names and in names that are hashed in pieces. */
static void test_every_byte_counts(void **state)
{
        static char long_id[EXTERNAL_ID_MAX + 1];
        struct name_key_secret secret;

        (void)state;
        name_key_secret_draw(&secret);
        for (size_t len = 1; len <= EXTERNAL_ID_MAX; len += 2) {
                struct name_key a;

                memset(long_id, 'x', len);
                long_id[len] = '\0';
                a = name(long_id, long_id);
                assert_true(alike(&a, &a, &secret));
                for (size_t i = 0; i < a.len; i++) {
                        struct name_key b = a;

                        b.bytes[i] ^= 1;
                        assert_false(alike(&a, &b, &secret));
                }
        }
}

static void test_pieces_do_not_run_together(void **state)
{
        struct name_key_secret secret;
        struct name_key a = name("ab", "c");
        struct name_key b = name("a", "bc");

        (void)state;
        name_key_secret_draw(&secret);
        assert_false(alike(&a, &b, &secret));
}

/* The secret of one process reveals nothing about another's. */
static void test_secrets_differ(void **state)
{
        struct name_key_secret one;
        struct name_key_secret two;
        struct name_key a = name("act_1", "1");

        (void)state;
        name_key_secret_draw(&one);
        name_key_secret_draw(&two);
        assert_false(XXH128_isEqual(name_key_hash(&a, &one), name_key_hash(&a, &two)));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_byte_counts),
                cmocka_unit_test(test_pieces_do_not_run_together),
                cmocka_unit_test(test_secrets_differ),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
