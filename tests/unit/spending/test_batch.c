/* Batches: divided, and their memory counted to the byte. */
#include "test.h"

#include "spending/batch.h"

static struct row make_row(uint64_t n, size_t bytes)
{
        return (struct row){.line = {.number = n, .text = {"", bytes}}};
}

static void test_split_and_remove(void **state)
{
        struct memory memory;
        struct batch *b;
        struct batch *second;

        (void)state;
        memory_init(&memory, 1 << 20);
        b = batch_new(&memory, 1);
        for (uint64_t n = 0; n < 101; n++) {
                struct row row = make_row(n, 10);

                batch_add_take(b, &row);
        }
        b->merge = true;
        second = batch_split(b);
        assert_int_equal(b->len, 50);
        assert_int_equal(second->len, 51);
        assert_int_equal(b->bytes, 500);
        assert_int_equal(second->bytes, 510);
        assert_true(second->merge);
        assert_true(b->rows[49].line.number == 49 && second->rows[0].line.number == 50);
        batch_remove(b, 0);
        assert_true(b->len == 49 && b->bytes == 490 && b->rows[0].line.number == 49);
        assert_true(memory.used > 0);
        batch_free(b);
        batch_free(second);
        memory_deinit(&memory); /* asserts that nothing is left */
}

static bool is_odd(const void *ctx, const struct row *row)
{
        (void)ctx;
        return row->line.number % 2 == 1;
}

static void test_part(void **state)
{
        struct memory memory;
        struct batch *b;
        struct batch *part;

        (void)state;
        memory_init(&memory, 1 << 20);
        b = batch_new(&memory, 1);
        for (uint64_t n = 0; n < 5; n++) {
                struct row row = make_row(n, 10);

                batch_add_take(b, &row);
        }
        b->merge = true;
        b->suspicion.lost = 2;
        part = batch_part(b, is_odd, NULL);
        assert_true(b->len == 3 && b->bytes == 30 && b->suspicion.lost == 1);
        assert_true(part->len == 2 && part->bytes == 20 && part->merge && part->suspicion.lost == 1);
        assert_null(batch_part(b, is_odd, NULL));
        assert_true(b->len == 3);
        batch_free(b);
        b = batch_part(part, is_odd, NULL);
        assert_true(part->len == 0 && b->len == 2);
        batch_free(b);
        batch_free(part);
        memory_deinit(&memory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split_and_remove),
                cmocka_unit_test(test_part),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
