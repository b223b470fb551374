/* Blocks of lines: each byte of a block is damaged in turn, and lines are removed from it. */
#include "spool/spool_block.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { LINES = 9, FIRST = 100 };

static struct spool_record make_line(int i, char text[64])
{
        struct spool_record r = {.id = FIRST + 2 * i, /* ids with gaps */
                                 .received_us = 1000 - i,
                                 .receipt = UINT64_MAX - (uint64_t)i,
                                 .connection = 7,
                                 .line = (uint64_t)i};

        snprintf(text, 64, "%.*s", i, "the text of a line");
        snprintf(r.peer, sizeof(r.peer), "uid %d", i / 3);
        snprintf(r.client, sizeof(r.client), "%s", i % 2 ? "meta" : "");
        r.text = slice_str(text);
        return r;
}

static void make_block(struct spool_block *b)
{
        spool_block_clear(b);
        for (int i = 0; i < LINES; i++) {
                char text[64];
                struct spool_record r = make_line(i, text);

                spool_block_add(b, &r);
        }
}

static void assert_is_line(const struct spool_record *r, int i)
{
        char text[64];
        struct spool_record expected = make_line(i, text);

        assert_int_equal(r->id, expected.id);
        assert_int_equal(r->received_us, expected.received_us);
        assert_true(r->receipt == expected.receipt);
        assert_int_equal(r->connection, 7);
        assert_int_equal(r->line, i);
        assert_string_equal(r->peer, expected.peer);
        assert_string_equal(r->client, expected.client);
        assert_true(slice_eq(r->text, expected.text));
}

static struct slice slice_of(const struct buf *b)
{
        return (struct slice){b->data, b->len};
}

/* As if @from had been written to a file and read again. */
static void reload(struct spool_block *to, const struct spool_block *from)
{
        spool_block_load(to, from->first, from->last, slice_of(&from->entries), slice_of(&from->texts));
}

static void test_all_is_read_again(void **state)
{
        struct spool_block b = {0};
        struct spool_block loaded = {0};
        struct spool_record r;
        bool whole;

        (void)state;
        make_block(&b);
        assert_int_equal(b.first, FIRST);
        assert_int_equal(b.last, FIRST + 2 * (LINES - 1));
        assert_int_equal(b.oldest, 1000 - (LINES - 1));
        assert_int_equal(b.newest, 1000);
        assert_int_equal(b.bytes, LINES * (LINES - 1) / 2);
        reload(&loaded, &b);
        for (int64_t id = b.last; id >= FIRST - 1; id--) { /* from any id on */
                int i = (int)(id - FIRST + 2) / 2;

                while (spool_block_next(&loaded, i == 0 ? FIRST - 1 : FIRST + 2 * (i - 1), &r, &whole)) {
                        assert_true(whole);
                        assert_is_line(&r, i++);
                }
                assert_int_equal(i, LINES);
        }
        spool_block_deinit(&b);
        spool_block_deinit(&loaded);
}

/* A damaged byte costs the lines to which it belongs, and the ids stay in order. */
static void test_each_damaged_byte(void **state)
{
        struct spool_block b = {0};
        struct spool_block loaded = {0};
        size_t bytes;

        (void)state;
        make_block(&b);
        bytes = b.entries.len + b.texts.len;
        for (size_t at = 0; at < bytes; at++) {
                struct spool_record r;
                int64_t id = 0;
                int damaged = 0;
                bool whole;

                reload(&loaded, &b);
                if (at < b.entries.len)
                        loaded.entries.data[at] ^= 0x10;
                else
                        loaded.texts.data[at - b.entries.len] ^= 0x10;
                for (int i = 0; i < LINES; i++) {
                        assert_true(spool_block_next(&loaded, id, &r, &whole));
                        assert_true(r.id > id && r.id <= FIRST + 2 * i);
                        if (whole)
                                assert_is_line(&r, i);
                        damaged += !whole;
                        id = r.id;
                }
                assert_false(spool_block_next(&loaded, id, &r, &whole));
                assert_true(damaged >= 1 && damaged <= 3); /* lines share a peer's name */
                assert_true(damaged == 1 || at >= b.entries.len);
        }
        spool_block_deinit(&b);
        spool_block_deinit(&loaded);
}

static void test_removing_lines(void **state)
{
        struct spool_block b = {0};
        struct spool_block rest = {0};
        struct spool_record r;
        bool whole;

        (void)state;
        make_block(&b);
        b.texts.data[b.texts.len - 1] ^= 1; /* the last line is damaged, and stays so */
        for (unsigned kept = 0; kept < 1 << LINES; kept++) {
                int64_t ids[LINES];
                int64_t id = 0;
                size_t len = 0;

                for (int i = 0; i < LINES; i++) {
                        if (!(kept & 1u << i))
                                ids[len++] =
                                        FIRST + 2 * i - (i == LINES - 1); /* the lowest id that is free */
                }
                spool_block_copy_without(&b, ids, len, &rest);
                assert_int_equal(rest.last, b.last);
                for (int i = 0; i < LINES; i++) {
                        if (!(kept & 1u << i))
                                continue;
                        assert_true(spool_block_next(&rest, id, &r, &whole));
                        assert_int_equal(whole, i < LINES - 1);
                        if (id == 0)
                                assert_int_equal(rest.first, r.id);
                        if (whole)
                                assert_is_line(&r, i);
                        id = r.id;
                }
                assert_false(spool_block_next(&rest, id, &r, &whole));
        }
        spool_block_deinit(&b);
        spool_block_deinit(&rest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_is_read_again),
                cmocka_unit_test(test_each_damaged_byte),
                cmocka_unit_test(test_removing_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
