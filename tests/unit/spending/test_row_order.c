#include "test.h"

#include <stdlib.h>

#include "spending/row_order.h"

/* Rows of many objects, with some objects' rows in several places. The first @shared bytes of all ids are
 * equal. */
static struct row *make_rows(size_t len, size_t objects, size_t shared)
{
        static const int64_t times[] = {
                INT64_C(-62135596800000000),
                -1,
                0,
                INT64_C(604799999999),
                INT64_C(604800000000),
                INT64_C(1795000000000000),
                INT64_C(1795000000000001),
                INT64_C(253402300799999999),
        };
        struct row *rows = calloc(len + 1, sizeof(*rows));

        assert_non_null(rows);
        for (size_t i = 0; i < len; i++) {
                uint64_t object = i * 7919 % objects;
                XXH128_hash_t hash = XXH3_128bits(&object, sizeof(object));

                memcpy(rows[i].rec.ad_object_id.bytes, &hash, sizeof(hash));
                memset(rows[i].rec.ad_object_id.bytes, 0x77, shared);
                rows[i].rec.collected_at = times[i * 31 % ARRAY_LEN(times)];
        }
        return rows;
}

static const uint8_t *object_at(const struct row_order *o, const struct row *rows, size_t i)
{
        return rows[row_order_at(o, i)].rec.ad_object_id.bytes;
}

static int64_t week_of(int64_t unix_us)
{
        const int64_t week_us = INT64_C(604800000000);

        return unix_us / week_us - (unix_us % week_us < 0);
}

/* Every row once; with @by_chunk week by week; objects in the order of their ids, each one's rows in order
 * of arrival. */
static void assert_order(const struct row_order *o, const struct row *rows, size_t len, bool by_chunk)
{
        bool *seen = calloc(len + 1, sizeof(*seen));

        assert_non_null(seen);
        for (size_t i = 0; i < len; i++) {
                size_t row = row_order_at(o, i);

                assert_true(row < len);
                assert_false(seen[row]);
                seen[row] = true;
                if (i > 0) {
                        size_t last = row_order_at(o, i - 1);
                        int order =
                                memcmp(object_at(o, rows, i - 1), object_at(o, rows, i), sizeof(struct uuid));
                        int64_t week = week_of(rows[row].rec.collected_at);

                        if (by_chunk && week_of(rows[last].rec.collected_at) != week) {
                                assert_true(week_of(rows[last].rec.collected_at) < week);
                                continue;
                        }
                        assert_true(order < 0 || (order == 0 && last < row));
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

                row_order_by_object(&o, rows, cases[i].len);
                assert_order(&o, rows, cases[i].len, false);
                row_order_by_chunk(&o, rows, cases[i].len);
                assert_order(&o, rows, cases[i].len, true);
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
