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
        spool_block_load(to, from->last, slice_of(&from->entries), slice_of(&from->texts));
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
        for (int64_t id = b.last; id >= 0; id--) { /* from any id on */
                int i = id < FIRST ? 0 : (int)(id - FIRST) / 2 + 1;

                spool_block_seek(&loaded, id);
                while (spool_block_next(&loaded, &r, &whole)) {
                        assert_true(whole);
                        assert_is_line(&r, i);
                        assert_int_equal(r.place.id, r.id);
                        assert_int_equal(r.place.row, b.last);
                        assert_int_equal(r.place.index, i++);
                }
                assert_int_equal(i, LINES);
        }
        spool_block_deinit(&b);
        spool_block_deinit(&loaded);
}

/* Reads all lines, and asserts that intact ones are as they were added, and that reading can go on after each. Returns a bit for
 * each damaged line. */
static unsigned damaged_lines(struct spool_block *b)
{
        struct spool_record r;
        struct spool_record again;
        unsigned damaged = 0;
        int64_t at = 0;
        bool whole;

        assert_int_equal(spool_block_lines(b), LINES);
        spool_block_seek(b, 0);
        for (int i = 0; i < LINES; i++) {
                assert_true(spool_block_next(b, &r, &whole));
                if (whole)
                        assert_is_line(&r, i);
                damaged |= (unsigned)!whole << i;
                at = whole ? r.id : at;
                assert_int_equal(r.place.id, at);
                assert_int_equal(r.place.index, i);
                spool_block_seek_place(b, &r.place);
                assert_int_equal(spool_block_next(b, &again, &whole), i < LINES - 1);
                spool_block_seek_place(b, &r.place);
        }
        assert_false(spool_block_next(b, &r, &whole));
        return damaged;
}

/* A damaged byte costs the lines to which it belongs. */
static void test_each_damaged_byte(void **state)
{
        struct spool_block b = {0};
        struct spool_block loaded = {0};
        size_t bytes;

        (void)state;
        make_block(&b);
        bytes = b.entries.len + b.texts.len;
        for (size_t at = 0; at < bytes; at++) {
                unsigned damaged;

                reload(&loaded, &b);
                if (at < b.entries.len)
                        loaded.entries.data[at] ^= 0x10;
                else
                        loaded.texts.data[at - b.entries.len] ^= 0x10;
                damaged = damaged_lines(&loaded);
                if (at < b.entries.len)
                        assert_int_equal(damaged, 1u << at / SPOOL_ENTRY_BYTES);
                else /* names have another copy, or one line */
                        assert_true(__builtin_popcount(damaged) <= 1);
        }
        spool_block_deinit(&b);
        spool_block_deinit(&loaded);
}

/* Any lines may be damaged, the first and the last and all of them, in any byte of their entries. */
static void test_any_damaged_lines(void **state)
{
        struct spool_block b = {0};
        struct spool_block loaded = {0};
        struct spool_block rest = {0};
        struct spool_record r;
        bool whole;

        (void)state;
        make_block(&b);
        for (unsigned damaged = 0; damaged < 1 << LINES; damaged++) {
                for (size_t byte = 0; byte < SPOOL_ENTRY_BYTES; byte++) {
                        reload(&loaded, &b);
                        for (int i = 0; i < LINES; i++)
                                loaded.entries.data[(size_t)i * SPOOL_ENTRY_BYTES + byte] ^=
                                        (char)(damaged & 1u << i ? 0x80 : 0);
                        assert_int_equal(damaged_lines(&loaded), damaged);
                }
                spool_block_copy_intact(&loaded, &rest);
                assert_int_equal(rest.last, b.last);
                spool_block_seek(&rest, 0);
                for (int i = 0; i < LINES; i++) {
                        if (damaged & 1u << i)
                                continue;
                        assert_true(spool_block_next(&rest, &r, &whole) && whole);
                        assert_is_line(&r, i);
                }
                assert_false(spool_block_next(&rest, &r, &whole));
        }
        spool_block_deinit(&b);
        spool_block_deinit(&loaded);
        spool_block_deinit(&rest);
}

/* The lines of one sender share copies of its names; a block has several copies. */
static void test_damaged_names(void **state)
{
        static const char text[100] = "a line";
        struct spool_block b = {0};
        struct spool_block loaded = {0};
        size_t lines;
        char *names;

        (void)state;
        spool_block_clear(&b);
        for (int i = 1; !spool_block_full(&b); i++) {
                struct spool_record r = {
                        .id = i, .peer = "uid 7", .client = "meta", .text = {text, sizeof(text)}};

                spool_block_add(&b, &r);
        }
        lines = spool_block_lines(&b);
        names = b.texts.data;
        for (size_t copy = 0;; copy++) {
                const char *end = b.texts.data + b.texts.len;
                struct spool_record r;
                bool whole;

                names = memmem(names, (size_t)(end - names), "uid 7meta", 9);
                if (!names) {
                        assert_true(copy >= 3 && copy < 6);
                        break;
                }
                reload(&loaded, &b);
                memset(loaded.texts.data + (names - b.texts.data), 0, 512); /* with some lines after it */
                for (size_t i = 0, damaged = 0; i < lines; i++) {
                        assert_true(spool_block_next(&loaded, &r, &whole));
                        damaged += !whole;
                        if (whole) {
                                assert_string_equal(r.peer, "uid 7");
                                assert_string_equal(r.client, "meta");
                                assert_int_equal(r.id, i + 1);
                        }
                        assert_true(damaged <= 6);
                }
                names++;
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
                struct spool_place places[LINES];
                size_t len = 0;

                for (int i = 0; i < LINES; i++) {
                        if (!(kept & 1u << i))
                                places[len++] = (struct spool_place){.row = b.last, .id = FIRST + 2 * i};
                }
                spool_block_copy_without(&b, places, len, &rest);
                assert_int_equal(rest.last, b.last);
                assert_true(rest.first > 0 && rest.first <= rest.last);
                spool_block_seek(&rest, 0);
                for (int i = 0; i < LINES; i++) {
                        if (!(kept & 1u << i) && i < LINES - 1)
                                continue;
                        assert_true(spool_block_next(&rest, &r, &whole));
                        assert_int_equal(whole, i < LINES - 1);
                        if (whole)
                                assert_is_line(&r, i);
                }
                assert_false(spool_block_next(&rest, &r, &whole));
                assert_int_equal(spool_block_within(&b, places, len), kept == 0);
        }
        spool_block_deinit(&b);
        spool_block_deinit(&rest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_is_read_again), cmocka_unit_test(test_each_damaged_byte),
                cmocka_unit_test(test_any_damaged_lines), cmocka_unit_test(test_damaged_names),
                cmocka_unit_test(test_removing_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
