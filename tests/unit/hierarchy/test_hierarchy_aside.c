/* Which lines must not pass a batch that was set aside, and what happens to them. */
#include "test.h"

#include "hierarchy/hierarchy_aside.h"

static struct memory memory;
static struct hierarchy_aside aside;
static const struct line_source_ops client_ops; /* only that they are no spool counts, and who is who */
static const struct line_source_ops spool_ops = {.acked = true};
static struct line_source spool = {.ops = &spool_ops};
static struct line_source clients[3] = {{.ops = &client_ops}, {.ops = &client_ops}, {.ops = &client_ops}};
static unsigned settled;

static int setup(void **state)
{
        (void)state;
        memory_init(&memory, 1 << 20);
        hierarchy_aside_init(&aside, &memory);
        settled = 0;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        hierarchy_aside_deinit(&aside);
        memory_deinit(&memory);
        return 0;
}

static struct line line(int client)
{
        struct block *block = block_new(&memory, 1);

        return (struct line){.block = block, .text = {block->data, 0}, .source = &clients[client]};
}

/* Copies texts into the line, where a real line has them. */
static struct json_string put(struct line *l, const char *s)
{
        struct block *b = l->block;
        struct slice at = {b->data + b->len, strlen(s)};

        memcpy(b->data + b->len, s, at.len);
        b->len += at.len;
        l->text.len = b->len;
        return (struct json_string){at, false};
}

static struct hierarchy_row object(int client, const char *account, const char *id, const char *parent)
{
        struct hierarchy_row row = {.line = line(client), .kind = RECORD_AD_OBJECT};

        row.rec.object.account_external_id = put(&row.line, account);
        row.rec.object.external_id = put(&row.line, id);
        row.rec.object.has_parent = parent != NULL;
        if (parent)
                row.rec.object.parent_external_id = put(&row.line, parent);
        return row;
}

static struct hierarchy_row account(int client, const char *id)
{
        struct hierarchy_row row = {.line = line(client), .kind = RECORD_AD_ACCOUNT};

        row.rec.account.external_id = put(&row.line, id);
        row.rec.account.timezone = put(&row.line, "UTC");
        return row;
}

static struct row spending(int client, const char *account_id)
{
        struct row row = {.line = line(client)};

        row.rec.account_external_id = put(&row.line, account_id);
        row.rec.external_id = put(&row.line, "x");
        return row;
}

static struct hierarchy_batch *batch(uint64_t number)
{
        return hierarchy_batch_new(&memory, number);
}

static void add(struct hierarchy_batch *b, struct hierarchy_row row)
{
        assert_true(hierarchy_batch_add_take(b, &row));
}

static void settle_line(void *ctx, struct line *l)
{
        (void)ctx;
        settled++;
        block_unref(l->block);
}

/* All rows of the batch are settled. */
static void finish(struct hierarchy_batch *b)
{
        for (; b->start < b->len; b->start++)
                settle_line(NULL, &b->rows[b->start].line);
        hierarchy_aside_put(&aside, b);
        hierarchy_aside_remove(&aside, b);
        hierarchy_batch_free(b);
}

static unsigned told;

static void on_held(void *ctx, struct line *l)
{
        (void)ctx;
        (void)l;
        told++;
}

/* True if the row, alone in a batch, passes. A row that passes is dropped. */
static bool passes(struct hierarchy_row row)
{
        struct hierarchy_batch *b = batch(9);
        size_t len;

        add(b, row);
        told = 0;
        b = hierarchy_aside_filter(&aside, b, on_held, NULL);
        len = b->len;
        assert_int_equal(told, 1 - len);
        for (size_t i = 0; i < len; i++)
                block_unref(b->rows[i].line.block);
        hierarchy_batch_free(b);
        return len == 1;
}

static bool spending_passes(struct row row)
{
        bool held = hierarchy_aside_holds(&aside, &row);

        block_unref(row.line.block);
        return !held;
}

static void evacuate(void)
{
        hierarchy_aside_evacuate(&aside, settle_line, NULL);
        assert_true(hierarchy_aside_empty(&aside));
}

static bool keeps(void *ctx, struct line *line)
{
        (void)ctx;
        (void)line;
        return false;
}

static void test_what_passes(void **state)
{
        struct hierarchy_batch *b = batch(1);

        (void)state;
        assert_true(passes(object(0, "act", "x", NULL)));
        add(b, object(0, "act", "child", "parent"));
        hierarchy_aside_put(&aside, b);
        assert_true(passes(object(1, "act", "other", NULL)));
        assert_true(passes(object(1, "act", "other", "parent"))); /* both only name it */
        assert_true(passes(object(1, "act2", "child", NULL)));
        assert_true(passes(account(1, "act2")));
        assert_true(passes(object(0, "act2", "x", NULL)));
        assert_true(spending_passes(spending(1, "act")));
        assert_true(spending_passes(spending(0, "act2")));
        assert_false(spending_passes(spending(0, "act")));
        assert_false(passes(object(1, "act", "child", NULL)));
        assert_false(passes(object(2, "act", "x", "child")));
        evacuate();
        assert_int_equal(settled, 3);
}

static void test_what_is_named(void **state)
{
        struct hierarchy_batch *b = batch(1);

        (void)state;
        add(b, object(0, "act", "child", "parent"));
        hierarchy_aside_put(&aside, b);
        assert_false(passes(object(1, "act", "parent", NULL)));
        assert_false(passes(account(2, "act")));
        assert_false(passes(object(0, "act", "x", NULL))); /* the same client and account */
        assert_false(passes(object(1, "act", "y", NULL))); /* the same, as "parent" waits */
        evacuate();
}

static void test_lines_that_wait_go_on_in_their_order(void **state)
{
        struct hierarchy_batch *first = batch(1);
        struct hierarchy_batch *b;
        struct row row;

        (void)state;
        add(first, object(0, "act", "p", NULL));
        hierarchy_aside_put(&aside, first);
        assert_false(passes(object(0, "act", "c", "p")));
        row = spending(0, "act");
        hierarchy_aside_hold_take(&aside, &row);
        assert_false(passes(object(0, "act", "p", NULL))); /* must not be in one batch with its child */
        row = spending(0, "act");
        hierarchy_aside_hold_take(&aside, &row);
        assert_int_equal(aside.lines, 5);
        finish(first);
        b = hierarchy_aside_next(&aside, 0);
        assert_int_equal(b->len, 1);
        assert_int_equal(b->rows[0].rec.object.external_id.raw.ptr[0], 'c');
        assert_false(hierarchy_aside_pop(&aside, &row));
        finish(b);
        b = hierarchy_aside_next(&aside, 0);
        assert_int_equal(b->len, 1);
        assert_int_equal(b->rows[0].rec.object.external_id.raw.ptr[0], 'p');
        finish(b);
        for (int i = 0; i < 2; i++) {
                assert_true(hierarchy_aside_pop(&aside, &row));
                settle_line(NULL, &row.line);
        }
        assert_false(hierarchy_aside_pop(&aside, &row));
        assert_true(hierarchy_aside_empty(&aside));
        assert_int_equal(settled, 5);
}

static void test_the_row_that_waits_leaves_the_others(void **state)
{
        struct hierarchy_batch *b = batch(1);
        struct hierarchy_batch *stuck;

        (void)state;
        add(b, object(0, "act", "p", NULL));
        add(b, object(1, "act", "c", "p"));
        add(b, object(2, "act", "other", NULL));
        hierarchy_aside_put(&aside, b);
        assert_false(passes(object(2, "act", "later", "c"))); /* after "c", which arrived earlier */
        b->due = 100;
        hierarchy_aside_split(&aside, b, keeps, NULL);
        b = hierarchy_aside_next(&aside, 0);
        assert_int_equal(b->len, 1);
        assert_int_equal(b->rows[0].rec.object.external_id.raw.ptr[0], 'o');
        finish(b);
        assert_null(hierarchy_aside_next(&aside, 99));
        assert_int_equal(hierarchy_aside_due(&aside), 100);
        stuck = hierarchy_aside_next(&aside, 100);
        finish(stuck);
        b = hierarchy_aside_next(&aside, 100);
        assert_int_equal(b->len, 2); /* "c", and "later", which may follow it in one batch */
        finish(b);
        assert_true(hierarchy_aside_empty(&aside));
}

static void test_out_of_the_spool_all_lines_are_one_clients(void **state)
{
        struct hierarchy_batch *b = batch(1);
        struct hierarchy_row row = object(0, "act", "p", NULL);
        struct row behind = spending(1, "act");

        (void)state;
        row.line.source = behind.line.source = &spool;
        add(b, row);
        hierarchy_aside_put(&aside, b);
        assert_false(spending_passes(behind));
        /* any client may have sent the line from the spool */
        assert_false(spending_passes(spending(0, "act")));
        assert_true(spending_passes(spending(0, "act2")));
        evacuate();
}

static struct hierarchy_row from(enum batcher_sender sender, struct hierarchy_row row)
{
        row.sender = sender;
        return row;
}

/* The next batch, which is now being tried, begins with the object @id and has @len rows. */
static void assert_tried(char id, size_t len)
{
        struct hierarchy_batch *b = hierarchy_aside_next(&aside, 0);

        assert_non_null(b);
        assert_int_equal(b->rows[0].rec.object.external_id.raw.ptr[0], id);
        assert_int_equal(b->len, len);
        finish(b);
}

static void test_rows_of_doubtful_clients_are_tried_last(void **state)
{
        struct hierarchy_batch *failed = batch(1);
        struct hierarchy_batch *divided;

        (void)state;
        assert_false(passes(from(SENDER_DISTRUSTED, object(0, "act", "d", NULL))));
        assert_false(passes(from(SENDER_NEW, object(1, "act", "n", NULL))));
        assert_false(passes(from(SENDER_NEW, object(2, "act", "m", NULL))));
        assert_int_equal(hierarchy_aside_new_rows(&aside), 2);
        assert_true(passes(object(2, "act2", "d", NULL))); /* of another account */
        assert_false(passes(object(1, "act", "d", NULL)));
        divided = hierarchy_aside_next(&aside, 0);
        divided->gathers = false; /* it is tried */
        assert_false(passes(from(SENDER_NEW, object(2, "act3", "o", NULL))));
        assert_int_equal(hierarchy_aside_new_rows(&aside), 1);
        add(failed, object(1, "act4", "f", NULL));
        hierarchy_aside_put(&aside, failed);
        assert_tried('f', 1);
        assert_tried('n', 2);
        assert_tried('o', 1);
        assert_tried('d', 1);
        assert_tried('d', 1); /* of another client, which waited */
        assert_true(hierarchy_aside_empty(&aside));
}

static void test_few_rows_of_doubtful_clients_are_tried_at_once(void **state)
{
        char id[] = "a";

        (void)state;
        for (int i = 0; i < HIERARCHY_APART_ROWS + 1; i++, id[0]++)
                assert_false(passes(from(SENDER_DISTRUSTED, object(0, id, id, NULL))));
        assert_tried('a', HIERARCHY_APART_ROWS);
        assert_tried((char)(id[0] - 1), 1);
        assert_true(hierarchy_aside_empty(&aside));
}

static void test_parts(void **state)
{
        struct hierarchy_batch *b = batch(1);
        char id[8] = "0";

        (void)state;
        for (int i = 0; i < 5; i++, id[0]++)
                add(b, object(0, "act", id, NULL));
        b->suspicion = (struct suspicion){.failures = 2, .lost = 3};
        hierarchy_batch_divide(b); /* 2 + 3 */
        assert_int_equal(hierarchy_batch_end(b), 2);
        assert_int_equal(b->suspicion.failures, 0);
        hierarchy_batch_divide(b);
        assert_int_equal(hierarchy_batch_end(b), 1);
        b->suspicion.failures = 4;
        for (int i = 0; i < 3; i++) {
                static const size_t ends[] = {2, 5, 5};

                settle_line(NULL, &b->rows[b->start].line);
                if (i == 2)
                        for (size_t n = b->start + 1; n < 5; n++)
                                settle_line(NULL, &b->rows[n].line);
                hierarchy_batch_advance(b);
                assert_int_equal(hierarchy_batch_end(b), ends[i]);
                assert_int_equal(b->suspicion.failures, 0);
        }
        assert_int_equal(b->start, 5);
        hierarchy_batch_free(b);
}

/* Of three clients the first is gone. What the third held for the first's object continues; the second's row stays. */
static void test_drop_gone(void **state)
{
        struct hierarchy_batch *b = batch(1);
        struct hierarchy_batch *held;
        struct hierarchy_row child = object(2, "a", "child", "parent");

        (void)state;
        add(b, object(0, "a", "parent", NULL));
        add(b, object(1, "b", "x", NULL));
        hierarchy_aside_put(&aside, b);
        held = batch(2);
        add(held, child);
        told = 0;
        held = hierarchy_aside_filter(&aside, held, on_held, NULL);
        assert_int_equal(told, 1);
        hierarchy_batch_free(held);
        clients[0].gone = true;
        hierarchy_aside_drop_gone(&aside, settle_line, NULL);
        clients[0].gone = false;
        assert_int_equal(settled, 1);
        assert_int_equal(aside.lines, 2);
        assert_true(list_empty(&aside.held));
        b = hierarchy_aside_next(&aside, UINT64_MAX);
        assert_int_equal(b->len, 1);
        assert_ptr_equal(b->rows[0].line.source, &clients[1]);
        hierarchy_aside_evacuate(&aside, settle_line, NULL);
        assert_int_equal(settled, 3);
}

static void test_drop_gone_everything(void **state)
{
        struct hierarchy_batch *b = batch(1);
        struct row waiting = spending(0, "a");

        (void)state;
        add(b, object(0, "a", "x", NULL));
        hierarchy_aside_put(&aside, b);
        assert_true(hierarchy_aside_holds(&aside, &waiting));
        hierarchy_aside_hold_take(&aside, &waiting);
        clients[0].gone = true;
        hierarchy_aside_drop_gone(&aside, settle_line, NULL);
        clients[0].gone = false;
        assert_int_equal(settled, 2);
        assert_true(hierarchy_aside_empty(&aside));
}

int main(void)
{
#define with_aside(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        const struct CMUnitTest tests[] = {
                with_aside(test_drop_gone),
                with_aside(test_drop_gone_everything),
                with_aside(test_what_passes),
                with_aside(test_what_is_named),
                with_aside(test_lines_that_wait_go_on_in_their_order),
                with_aside(test_the_row_that_waits_leaves_the_others),
                with_aside(test_out_of_the_spool_all_lines_are_one_clients),
                with_aside(test_rows_of_doubtful_clients_are_tried_last),
                with_aside(test_few_rows_of_doubtful_clients_are_tried_at_once),
                with_aside(test_parts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
