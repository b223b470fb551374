/* Files of earlier formats: their lines are read and erased, those that are added come after them, and the tally is kept. */
#include "spool/spool_file.h"

#include "faulty_disk.h"
#include "old_spool.h"
#include "spool/spool_account.h"

enum { ADDED = 30, MAX_BYTES = 64 << 20 };

static void add_lines(struct spool_file *f)
{
        assert_int_equal(spool_file_begin(f), SPOOL_OK);
        for (int i = OLD + 1; i <= OLD + ADDED; i++) {
                struct spool_record r = {.received_us = i * 10, .receipt = 5, .line = (uint64_t)i};
                char text[32];

                snprintf(text, sizeof(text), "new %d", i);
                r.text = slice_str(text);
                assert_int_equal(spool_file_add(f, &r), SPOOL_OK);
        }
        assert_int_equal(spool_file_commit(f), SPOOL_OK);
}

/* 0: before the first line. */
static struct spool_place place_of(struct spool_file *f, int64_t id)
{
        struct spool_record r = {0};
        bool whole;

        while (r.place.id < id && spool_file_next(f, r.place, &r, &whole) > 0)
                continue;
        return r.place;
}

/* Returns how many lines follow @id, which are whole and in order. */
static int count_after(struct spool_file *f, int64_t id)
{
        struct spool_record r = {0};
        bool whole;
        int n = 0;

        assert_int_equal(spool_file_begin_reading(f), SPOOL_OK);
        for (r.place = place_of(f, id); spool_file_next(f, r.place, &r, &whole) > 0; n++) {
                assert_true(whole);
                assert_int_equal(r.id, r.line);
                assert_int_equal(r.received_us, r.id * 10);
                assert_true(r.id > id);
                id = r.id;
        }
        spool_file_end_reading(f);
        return n;
}

static void erase_range(struct spool_file *f, int64_t first, int64_t last)
{
        struct spool_place places[OLD + ADDED];
        size_t len = 0;

        for (int64_t id = first; id <= last; id++)
                places[len++] = place_of(f, id);
        assert_int_equal(spool_file_begin(f), SPOOL_OK);
        assert_int_equal(spool_file_erase(f, places, len), SPOOL_OK);
        assert_int_equal(spool_file_commit(f), SPOOL_OK);
}

static void open_file(struct spool_file *f, const char *dir, uint64_t lines)
{
        char aside[SPOOL_PATH_BYTES];

        assert_int_equal(spool_file_open(f, dir, MAX_BYTES, aside), SPOOL_OK);
        assert_string_equal(aside, "");
        assert_int_equal(f->contents.lines, lines);
        assert_int_equal(f->findings.lost, 0);
}

static void converse(int format)
{
        char path[300];
        struct spool_file f;
        char dir[64];

        make_dir(dir);
        make_old_file(dir, format);
        snprintf(path, sizeof(path), "%s/spool.db", dir);
        assert_int_equal(spool_file_open_read_only(&f, path, NULL), SPOOL_OK);
        assert_int_equal(f.contents.lines, OLD);
        assert_int_equal(count_after(&f, 0), OLD);
        spool_file_close(&f);

        open_file(&f, dir, OLD);
        assert_int_equal(f.contents.oldest, 10);
        add_lines(&f);
        assert_int_equal(count_after(&f, 0), OLD + ADDED);
        assert_int_equal(count_after(&f, OLD + 3), ADDED - 3);
        erase_range(&f, 1, OLD - 1);
        assert_int_equal(spool_file_oldest(&f), OLD * 10);
        spool_file_close(&f);

        open_file(&f, dir, ADDED + 1);
        erase_range(&f, OLD, OLD + 1); /* across the border */
        assert_int_equal(count_after(&f, 0), ADDED - 1);
        assert_int_equal(f.tally.lowest, OLD + 2);
        erase_range(&f, OLD + 2, OLD + ADDED);
        assert_int_equal(spool_file_oldest(&f), 0);
        spool_file_shrink(&f);
        spool_file_close(&f);

        open_file(&f, dir, 0);
        assert_int_equal(f.tally.last, OLD + ADDED); /* ids go on */
        spool_file_close(&f);
        remove_dir(dir);
}

static void test_both_formats(void **state)
{
        (void)state;
        converse(1);
        converse(2);
}

/* Lines in the tally of format 2 are missed. */
static void test_the_account_of_format_2_holds(void **state)
{
        struct spool_tally tally = {.file = 77, .last = OLD + 7, .lowest = 1};
        struct spool_account account;
        char aside[SPOOL_PATH_BYTES];
        struct spool_file f;
        char dir[64];

        (void)state;
        make_dir(dir);
        make_old_file(dir, 2);
        assert_int_equal(spool_account_open(&account, dir), 0);
        assert_int_equal(spool_account_write(&account, &tally, true), 0);
        spool_account_close(&account);
        assert_int_equal(spool_file_open(&f, dir, MAX_BYTES, aside), SPOOL_OK);
        assert_int_equal(f.contents.lines, OLD);
        assert_int_equal(f.findings.lost, 7);
        spool_file_close(&f);
        remove_dir(dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_formats),
                cmocka_unit_test(test_the_account_of_format_2_holds),
        };

        return cmocka_run_group_tests(tests, faulty_disk_set_up, NULL);
}
