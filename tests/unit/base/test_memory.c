#include "test.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/memory.h"

static void test_blocks(void **state)
{
        struct memory m;
        struct block *a;
        struct block *big;

        (void)state;
        memory_init(&m, BLOCK_BYTES + 1000);
        a = block_new(&m, 1);
        assert_int_equal(a->cap, BLOCK_BYTES);
        assert_int_equal(a->len, 0);
        assert_false(memory_full(&m));
        big = block_new(&m, 3 * BLOCK_BYTES);
        assert_int_equal(big->cap, 3 * BLOCK_BYTES);
        assert_true(memory_full(&m));
        assert_true(m.used >= 4 * BLOCK_BYTES);
        block_unref(block_ref(big));
        assert_true(memory_full(&m)); /* one reference remains */
        block_unref(big);
        assert_false(memory_full(&m));
        block_unref(a);
        assert_int_equal(m.used, 0);
        block_unref(NULL);
        a->len = 5; /* it is kept as a spare, and returned empty */
        assert_ptr_equal(block_new(&m, 10), a);
        assert_int_equal(a->len, 0);
        block_unref(a);
        memory_deinit(&m);
}

static void test_buf(void **state)
{
        struct buf b = {0};
        char out[8];

        (void)state;
        for (int i = 0; i < 1000; i++)
                buf_put(&b, "0123456789", 10);
        buf_put(&b, NULL, 0);
        assert_int_equal(b.len, 10000);
        assert_memory_equal(b.data + 9990, "0123456789", 10);
        memset(buf_reserve(&b, 100000), 0, 100000);
        assert_int_equal(b.len, 10000);
        buf_deinit(&b);
        assert_null(b.data);
        put_be64(out, 0x0102030405060708);
        assert_memory_equal(out, "\1\2\3\4\5\6\7\x08", 8);
        put_be16(out, 0xfffe);
        assert_memory_equal(out, "\xff\xfe", 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blocks),
                cmocka_unit_test(test_buf),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
