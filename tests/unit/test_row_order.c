#include "test.h"

#include <stdlib.h>

#include "row_order.h"

/* Rows of many objects, and some objects' rows in several places. @shared bytes at the front of all ids are
 * alike. */
static struct row *make_rows(size_t len, size_t objects, size_t shared)
{
        struct row *rows = calloc(len + 1, sizeof(*rows));

        assert_non_null(rows);
        for (size_t i = 0; i < len; i++) {
                uint64_t object = i * 7919 % objects;
                XXH128_hash_t hash = XXH3_128bits(&object, sizeof(object));

                memcpy(rows[i].rec.ad_object_id.bytes, &hash, sizeof(hash));
                memset(rows[i].rec.ad_object_id.bytes, 0x77, shared);
        }
        return rows;
}

static const uint8_t *object_at(const struct row_order *o, const struct row *rows, size_t i)
{
        return rows[row_order_at(o, i)].rec.ad_object_id.bytes;
}

/* Every row once, objects in the order of their ids, the rows of one in order of arrival. */
static void assert_order(const struct row_order *o, const struct row *rows, size_t len)
{
        bool *seen = calloc(len + 1, sizeof(*seen));

        assert_non_null(seen);
        for (size_t i = 0; i < len; i++) {
                size_t row = row_order_at(o, i);

                assert_true(row < len);
                assert_false(seen[row]);
                seen[row] = true;
                if (i > 0) {
                        int order =
                                memcmp(object_at(o, rows, i - 1), object_at(o, rows, i), sizeof(struct uuid));

                        assert_true(order < 0 || (order == 0 && row_order_at(o, i - 1) < row));
                }
        }
        free(seen);
}

static void test_order(void **state)
{
        static const struct {
                size_t len;
                size_t objects;
                size_t shared;
        } cases[] = {
                {0, 1, 0},      {1, 1, 0},       {2, 2, 0},        {5000, 1, 0},
                {5000, 7, 0},   {5000, 1000, 0}, {300, 300, 0},    {5000, 700, 1},
                {5000, 700, 8}, {5000, 700, 12}, {20000, 9000, 0}, {10, 3, 15},
        };
        struct row_order o = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct row *rows = make_rows(cases[i].len, cases[i].objects, cases[i].shared);

                row_order_make(&o, rows, cases[i].len);
                assert_order(&o, rows, cases[i].len);
                free(rows);
        }
        row_order_deinit(&o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
