/* Which lines may be in one batch, and what refers to what in it. */
#include "test.h"

#include <stdio.h>

#include "hierarchy/hierarchy_batch.h"

static struct memory memory;

static int setup(void **state)
{
        memory_init(&memory, 1 << 20);
        *state = hierarchy_batch_new(&memory, 1);
        return 0;
}

static int teardown(void **state)
{
        struct hierarchy_batch *b = *state;

        for (size_t i = 0; i < b->len; i++)
                block_unref(b->rows[i].line.block);
        hierarchy_batch_free(b);
        memory_deinit(&memory);
        return 0;
}

static struct json_string text(const char *s)
{
        return (struct json_string){slice_str(s), strchr(s, '\\') != NULL};
}

static bool take(struct hierarchy_batch *b, struct hierarchy_row *row)
{
        bool taken;

        row->line.block = block_new(&memory, 1);
        row->line.text = SLICE_LIT("0123456789");
        taken = hierarchy_batch_add_take(b, row);
        if (!taken)
                block_unref(row->line.block);
        return taken;
}

static bool add_account(struct hierarchy_batch *b, const char *external_id)
{
        struct hierarchy_row row = {.kind = RECORD_AD_ACCOUNT, .rec.account.external_id = text(external_id)};

        return take(b, &row);
}

static bool add_object(struct hierarchy_batch *b, const char *account, const char *id, const char *parent)
{
        struct hierarchy_row row = {
                .kind = RECORD_AD_OBJECT,
                .rec.object = {.account_external_id = text(account), .external_id = text(id)},
        };

        row.rec.object.has_parent = parent != NULL;
        if (parent)
                row.rec.object.parent_external_id = text(parent);
        return take(b, &row);
}

static void test_no_key_twice(void **state)
{
        struct hierarchy_batch *b = *state;

        assert_true(add_account(b, "act") && add_object(b, "act", "1", NULL));
        assert_false(add_account(b, "act"));
        assert_false(add_object(b, "act", "1", NULL));
        assert_false(add_object(b, "act", "\\u0031", NULL));
        assert_true(add_object(b, "act2", "1", NULL));
        assert_true(add_object(b, "act", "11", NULL));
        assert_true(b->len == 4 && b->bytes == 40);
}

static void test_nothing_behind_what_refers_to_it(void **state)
{
        struct hierarchy_batch *b = *state;

        assert_true(add_object(b, "act", "child", "parent"));
        assert_false(add_object(b, "act", "parent", NULL));
        assert_false(add_account(b, "act"));
        assert_true(add_object(b, "act2", "parent", NULL));
        assert_true(add_account(b, "act3"));
}

static void test_parents_and_accounts(void **state)
{
        struct hierarchy_batch *b = *state;

        assert_true(add_object(b, "act", "c", NULL) && add_object(b, "act2", "x", NULL));
        assert_true(add_object(b, "act", "s", "\\u0063") && add_object(b, "act", "a", "elsewhere"));
        assert_int_equal(b->rows[0].parent_row, -1);
        assert_int_equal(b->rows[2].parent_row, 0);
        assert_int_equal(b->rows[3].parent_row, -1);
        assert_int_equal(b->rows[3].same_parent_row, -1);
        assert_true(add_object(b, "act", "b", "elsewhere") && add_object(b, "act", "d", "elsewhere"));
        assert_int_equal(b->rows[4].parent_row, -1);
        assert_int_equal(b->rows[4].same_parent_row, 3);
        assert_int_equal(b->rows[5].same_parent_row, 3);
        assert_false(add_object(b, "act", "elsewhere", NULL));
        assert_int_equal(b->accounts_len, 2);
        assert_int_equal(b->rows[0].account_number, 1);
        assert_int_equal(b->rows[1].account_number, 2);
        assert_int_equal(b->rows[2].account_number, 1);
}

/* An account with a connection, and one without, whose id contains the bytes of that connection and of the
 * first one's id: two accounts. */
static void test_accounts_are_told_apart(void **state)
{
        static const char mimic[] = "QQQQQQQQQQQQQQQ\x01x"; /* 15 bytes of the uuid, the length and the id */
        struct hierarchy_batch *b = *state;
        struct hierarchy_row row = {
                .kind = RECORD_AD_OBJECT,
                .rec.object = {.has_connection = true,
                               .account_external_id = text("x"),
                               .external_id = text("1")},
        };

        memset(row.rec.object.connection_id.bytes, 'Q', sizeof(row.rec.object.connection_id.bytes));
        row.rec.object.connection_id.bytes[0] = sizeof(mimic) - 1;
        assert_true(take(b, &row));
        assert_true(add_object(b, mimic, "1", NULL));
        assert_int_equal(b->rows[1].account_number, 2);
        assert_int_equal(b->accounts_len, 2);
}

static void test_many(void **state)
{
        struct hierarchy_batch *b = *state;
        char id[16];

        for (int i = 0; i < 5000; i++) {
                snprintf(id, sizeof(id), "%d", i);
                assert_true(add_object(b, "act", id, i ? "0" : NULL));
                assert_int_equal(b->rows[i].parent_row, i ? 0 : -1);
        }
        for (int i = 0; i < 5000; i++) {
                snprintf(id, sizeof(id), "%d", i);
                assert_false(add_object(b, "act", id, NULL));
        }
}

static void test_followers(void **state)
{
        struct hierarchy_batch *b = *state;
        struct row row;

        for (uint64_t i = 1; i <= 3; i++) {
                row.line.number = i;
                hierarchy_batch_follow_take(b, &row);
        }
        assert_true(hierarchy_batch_unfollow(b, &row) && row.line.number == 1);
        hierarchy_batch_follow_take(b, &row);
        assert_true(hierarchy_batch_unfollow(b, &row) && row.line.number == 2);
        assert_true(hierarchy_batch_unfollow(b, &row) && row.line.number == 3);
        assert_true(hierarchy_batch_unfollow(b, &row) && row.line.number == 1);
        assert_false(hierarchy_batch_unfollow(b, &row));
        hierarchy_batch_follow_take(b, &row);
        assert_true(hierarchy_batch_unfollow(b, &row));
}

int main(void)
{
#define with_batch(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        const struct CMUnitTest tests[] = {
                with_batch(test_no_key_twice),
                with_batch(test_nothing_behind_what_refers_to_it),
                with_batch(test_parents_and_accounts),
                with_batch(test_accounts_are_told_apart),
                with_batch(test_many),
                with_batch(test_followers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
