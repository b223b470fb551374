#include "test.h"

#include <stdlib.h>

#include "spending/object_cache.h"

static XXH128_hash_t key(uint64_t n)
{
        return XXH3_128bits(&n, sizeof(n));
}

/* Keys with the same slot, to exercise probing and moving up. */
static XXH128_hash_t crowded_key(uint64_t n)
{
        return (XXH128_hash_t){.low64 = 5, .high64 = n + 1};
}

static struct uuid object(uint64_t n)
{
        struct uuid u = {{0}};

        memcpy(u.bytes, &n, sizeof(n));
        return u;
}

static int holds(const struct object_cache *c, XXH128_hash_t k, uint64_t n)
{
        const struct uuid *found = object_cache_get(c, k);
        struct uuid want = object(n);

        return found && uuid_eq(found, &want);
}

/* Puts, replaces and removes at random, and compares with a plain array. */
static void check_against_model(XXH128_hash_t (*make_key)(uint64_t), uint64_t keys)
{
        uint64_t *model = calloc(keys, sizeof(*model));
        struct object_cache c;

        object_cache_init(&c, 1000000);
        srandom(3);
        for (uint64_t i = 1; i < keys * 20; i++) {
                uint64_t k = (uint64_t)random() % keys;
                struct uuid u = object(i);

                if (random() % 3) {
                        object_cache_put(&c, make_key(k), &u);
                        model[k] = i;
                } else {
                        object_cache_remove(&c, make_key(k));
                        model[k] = 0;
                }
        }
        for (uint64_t k = 0; k < keys; k++) {
                if (model[k])
                        assert_true(holds(&c, make_key(k), model[k]));
                else
                        assert_null(object_cache_get(&c, make_key(k)));
        }
        object_cache_clear(&c);
        assert_null(object_cache_get(&c, make_key(1)));
        object_cache_deinit(&c);
        free(model);
}

static void test_random(void **state)
{
        (void)state;
        check_against_model(key, 20000);
}

static void test_collisions(void **state)
{
        (void)state;
        check_against_model(crowded_key, 60);
}

static void test_limit(void **state)
{
        struct object_cache c;
        size_t found = 0;

        (void)state;
        object_cache_init(&c, 1000);
        for (uint64_t i = 0; i < 5000; i++) {
                struct uuid u = object(i);

                object_cache_put(&c, key(i), &u);
                assert_true(c.len <= 1000);
                assert_true(holds(&c, key(i), i)); /* the latest one is there */
        }
        for (uint64_t i = 0; i < 5000; i++)
                found += (size_t)holds(&c, key(i), i);
        assert_int_equal(found, 1000);
        object_cache_deinit(&c);
}

static void test_off(void **state)
{
        struct object_cache c;
        struct uuid u = object(1);

        (void)state;
        object_cache_init(&c, 0);
        object_cache_put(&c, key(1), &u);
        assert_null(object_cache_get(&c, key(1)));
        object_cache_deinit(&c);
}

/* An entry that exists during a whole round is read in it, whatever is removed meanwhile. */
static void check_rounds(XXH128_hash_t (*make_key)(uint64_t), uint64_t keys)
{
        struct object_cache_entry out[256];
        struct object_cache c;
        size_t hand = 0;

        object_cache_init(&c, 1000000);
        srandom(4);
        for (int round = 0; round < 20; round++) {
                uint8_t *seen = calloc(keys, 1);
                uint8_t *removed = calloc(keys, 1);
                size_t len;

                for (uint64_t k = 0; k < keys; k++) {
                        struct uuid u = object(k);

                        object_cache_put(&c, make_key(k), &u);
                }
                for (size_t left = c.cap; left > 0;) {
                        uint64_t k = (uint64_t)random() % keys;

                        left -= object_cache_read(&c, &hand, left < 7 ? left : 7, out, ARRAY_LEN(out), &len);
                        for (size_t i = 0; i < len; i++) {
                                uint64_t n;

                                memcpy(&n, out[i].object.bytes, sizeof(n));
                                seen[n] = 1;
                        }
                        object_cache_remove(&c, make_key(k));
                        removed[k] = 1;
                }
                for (uint64_t k = 0; k < keys; k++)
                        assert_true(seen[k] || removed[k]);
                free(seen);
                free(removed);
        }
        object_cache_deinit(&c);
}

static void test_rounds(void **state)
{
        (void)state;
        check_rounds(key, 700); /* of 1024 places */
        check_rounds(crowded_key, 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rounds),     cmocka_unit_test(test_random),
                cmocka_unit_test(test_collisions), cmocka_unit_test(test_limit),
                cmocka_unit_test(test_off),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
