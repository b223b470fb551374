/* The bytes that PostgreSQL's documentation specifies (COPY, "Binary Format"); integration tests check what
 * the server makes of them. */
#include "test.h"

#include "pg/pg_array.h"
#include "spending/copy_format.h"

static const struct spending_record rec = {
        .id = {{1, 2, 3}},
        .ad_object_id = {{4, 5, 6}},
        .collected_at = INT64_C(946684800000000) + 1, /* the epoch of 2000 and a microsecond */
        .period_start = INT64_C(946684800000000) - 1,
        .period_end = INT64_C(946684800000000),
        .amount_cents = -2,
        .currency = {'E', 'U', 'R'},
        .impressions = 0x0102030405060708,
        .nulls = RECORD_NULL_CLICKS | RECORD_NULL_CONVERSIONS,
        .metrics = {"{\"a\":1}", 7},
};

static void test_row(void **state)
{
        static const char want[] = "\0\x0b"
                                   "\0\0\0\x10\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0\0\x10\4\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0\0\x08\0\0\0\0\0\0\0\1"
                                   "\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xff"
                                   "\0\0\0\x08\0\0\0\0\0\0\0\0"
                                   "\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe"
                                   "\0\0\0\x03"
                                   "EUR"
                                   "\0\0\0\x08\1\2\3\4\5\6\7\x08"
                                   "\xff\xff\xff\xff\xff\xff\xff\xff"
                                   "\0\0\0\x08\1{\"a\":1}";
        struct buf b = {0};

        (void)state;
        copy_format_row(&b, &rec);
        assert_int_equal(b.len, sizeof(want) - 1);
        assert_memory_equal(b.data, want, b.len);
        buf_deinit(&b);
}

static void test_header_and_trailer(void **state)
{
        struct buf b = {0};

        (void)state;
        copy_format_header(&b);
        copy_format_trailer(&b);
        assert_int_equal(b.len, 21);
        assert_memory_equal(b.data, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\xff\xff", 21);
        buf_deinit(&b);
}

static void test_arrays(void **state)
{
        struct row rows[2] = {{.rec = rec}, {.rec = rec}};
        struct buf arrays[COPY_FORMAT_ARRAYS] = {{0}};

        (void)state;
        rows[1].rec.nulls = RECORD_NULL_METRICS;
        copy_format_arrays(arrays, rows, NULL, 2);
        copy_format_arrays(arrays, rows, NULL, 2); /* buffers are used again */
        /* clicks: a NULL, then a 0 */
        assert_int_equal(arrays[8].len, 20 + 4 + 12);
        assert_memory_equal(
                arrays[8].data,
                "\0\0\0\1\0\0\0\1\0\0\0\x14\0\0\0\2\0\0\0\1\xff\xff\xff\xff\0\0\0\x08\0\0\0\0\0\0\0\0", 36);
        /* metrics: a value, then a NULL */
        assert_int_equal(arrays[10].len, 20 + 4 + 8 + 4);
        assert_memory_equal(arrays[10].data + 20, "\0\0\0\x08\1{\"a\":1}\xff\xff\xff\xff", 16);
        for (size_t i = 0; i < COPY_FORMAT_ARRAYS; i++)
                buf_deinit(&arrays[i]);
}

static void test_array_length_set_later(void **state)
{
        struct buf b = {0};

        (void)state;
        pg_array_begin(&b, PG_OID_TEXT, 0);
        pg_array_add(&b, "x", 1);
        pg_array_add(&b, NULL, 5);
        pg_array_set_len(&b, 2);
        assert_int_equal(b.len, 20 + 5 + 4);
        assert_memory_equal(b.data + 12, "\0\0\0\2\0\0\0\1\0\0\0\1x\xff\xff\xff\xff", 17);
        buf_deinit(&b);
}

static void test_named_row(void **state)
{
        static const struct {
                const char *context;
                uint64_t row;
        } cases[] = {
                {"", 0},
                {"COPY spending, line 17", 17},
                {"COPY spending, line 17, column metrics: \"3\"", 17},
                {"PL/pgSQL function refuse() line 3 at RAISE\nCOPY spending, line 78", 78},
                {"PL/pgSQL-Funktion refuse() Zeile 3 bei RAISE\nCOPY spending, Zeile 78", 78},
                {"COPY spending, 78\xe8\xa1\x8c", 78},
                {"COPY spending, line\n4", 0},
                {"COPY other, line 4", 0},
                {"SQL statement \"INSERT INTO audit VALUES (1)\"\nPL/pgSQL function refuse() line 3 at RAISE",
                 0},
                {"COPY spending, line 99999999999999999999999", UINT64_MAX},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
                assert_int_equal(copy_format_named_row(cases[i].context), cases[i].row);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_row),
                cmocka_unit_test(test_header_and_trailer),
                cmocka_unit_test(test_arrays),
                cmocka_unit_test(test_named_row),
                cmocka_unit_test(test_array_length_set_later),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
