/* The spool's file, and a sweep over it: each of its disk operations fails in turn. Committed lines are
 * complete afterwards; uncommitted ones are there either all or not at all; and no file counts as damaged. */
#include "spool/spool_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faulty_disk.h"

enum { TURNS = 5, LINES = 20 };

/* --- the scenario --- */

static struct spool_record make_line(int turn, int i, char text[64])
{
        struct spool_record r = {.received_us = turn * 1000 + i, .connection = 7, .line = (uint64_t)i};

        snprintf(text, 64, "%d %d", turn, i);
        snprintf(r.peer, sizeof(r.peer), "uid 1");
        r.text = slice_str(text);
        return r;
}

/* Returns true if the transaction is durable. */
static bool end_transaction(struct spool_file *f, enum spool_status status)
{
        if (status == SPOOL_OK)
                status = spool_file_commit(f);
        if (status != SPOOL_OK)
                spool_file_roll_back(f);
        assert_int_not_equal(status, SPOOL_DAMAGED);
        return status == SPOOL_OK;
}

static bool add_turn(struct spool_file *f, int turn)
{
        enum spool_status status = spool_file_begin(f);

        for (int i = 0; i < LINES && status == SPOOL_OK; i++) {
                char text[64];
                struct spool_record r = make_line(turn, i, text);

                status = spool_file_add(f, &r);
        }
        return end_transaction(f, status);
}

/* Erases the lines with these ids. */
static enum spool_status erase_range(struct spool_file *f, int64_t first, int64_t last)
{
        struct spool_place places[4 * LINES];
        struct spool_record r = {0};
        size_t len = 0;
        bool whole;
        int code;

        while ((code = spool_file_next(f, r.place, &r, &whole)) > 0 && r.id <= last) {
                if (r.id >= first)
                        places[len++] = r.place;
        }
        return code < 0 ? (enum spool_status) - code : spool_file_erase(f, places, len);
}

static bool erase_first_lines(struct spool_file *f)
{
        enum spool_status status = spool_file_begin(f);

        if (status == SPOOL_OK)
                status = erase_range(f, 1, 3);
        if (status == SPOOL_OK)
                status = erase_range(f, 4, LINES);
        return end_transaction(f, status);
}

struct done {
        bool added[TURNS];
        bool erased;
};

static struct done run(const char *dir)
{
        struct done done = {0};
        char aside[SPOOL_PATH_BYTES];
        struct spool_file f;

        if (spool_file_open(&f, dir, 64 << 20, aside) == SPOOL_OK) {
                for (int turn = 0; turn < TURNS; turn++)
                        done.added[turn] = add_turn(&f, turn);
                done.erased = done.added[0] && erase_first_lines(&f);
                spool_file_shrink(&f);
        }
        assert_string_equal(aside, "");
        spool_file_close(&f);
        return done;
}

static void count_turns(const char *dir, int ret[TURNS])
{
        char aside[SPOOL_PATH_BYTES];
        struct spool_record r = {0};
        struct spool_file f;
        bool whole;

        memset(ret, 0, TURNS * sizeof(*ret));
        assert_int_equal(spool_file_open(&f, dir, 64 << 20, aside), SPOOL_OK);
        assert_string_equal(aside, "");
        while (spool_file_next(&f, r.place, &r, &whole) > 0) {
                assert_true(whole);
                ret[r.received_us / 1000]++;
        }
        spool_file_close(&f);
}

static void check(const char *dir, const struct done *done)
{
        int lines[TURNS];

        count_turns(dir, lines);
        for (int turn = 0; turn < TURNS; turn++) {
                bool may_be_erased = turn == 0 && lines[0] == 0 && done->added[0];

                if (done->added[turn] && !may_be_erased)
                        assert_int_equal(lines[turn], LINES);
                else
                        assert_true(lines[turn] == 0 || lines[turn] == LINES);
        }
        if (done->added[0] && done->erased)
                assert_int_equal(lines[0], 0);
}

static int sweep(int error)
{
        int n = 0;

        faulty_disk.error = error;
        do {
                struct done done;
                char dir[64];

                make_dir(dir);
                faulty_disk.hit = false;
                faulty_disk.countdown = n++;
                done = run(dir);
                faulty_disk.countdown = -1;
                check(dir, &done);
                remove_dir(dir);
        } while (faulty_disk.hit);
        return n;
}

static void test_sweep(void **state)
{
        (void)state;
        assert_true(sweep(SQLITE_IOERR_WRITE) > 30);
        assert_true(sweep(SQLITE_FULL) > 30);
}

/* --- the rest --- */

static void test_order_counts_and_origin(void **state)
{
        char aside[SPOOL_PATH_BYTES];
        struct spool_file f;
        struct spool_record r = {0};
        char dir[64];
        bool whole;

        (void)state;
        make_dir(dir);
        assert_int_equal(spool_file_open(&f, dir, 1 << 20, aside), SPOOL_OK);
        assert_true(add_turn(&f, 1));
        assert_true(add_turn(&f, 0));
        spool_file_close(&f);
        assert_int_equal(spool_file_open(&f, dir, 1 << 20, aside), SPOOL_OK);
        assert_int_equal(f.contents.lines, 2 * LINES);
        assert_int_equal(f.contents.oldest, 0);
        assert_int_equal(f.contents.newest, 1000 + LINES - 1);
        assert_int_equal(f.contents.damaged, 0);
        for (int n = 0; n < 2 * LINES; n++) {
                char expected[64];

                make_line(n < LINES, n % LINES, expected);
                assert_int_equal(spool_file_next(&f, r.place, &r, &whole), 1);
                assert_true(whole && slice_eq(r.text, slice_str(expected)));
                assert_int_equal(r.connection, 7);
                assert_int_equal(r.line, n % LINES);
                assert_string_equal(r.peer, "uid 1");
        }
        assert_int_equal(spool_file_next(&f, r.place, &r, &whole), 0);
        spool_file_close(&f);
        remove_dir(dir);
}

static void test_full(void **state)
{
        static char big[300 * 1024];
        struct spool_record r = {.text = {big, sizeof(big)}};
        char aside[SPOOL_PATH_BYTES];
        struct spool_file f;
        enum spool_status status = SPOOL_OK;
        unsigned taken = 0;
        char dir[64];

        (void)state;
        make_dir(dir);
        assert_int_equal(spool_file_open(&f, dir, 1 << 20, aside), SPOOL_OK);
        while (status == SPOOL_OK && taken < 10) {
                assert_int_equal(spool_file_begin(&f), SPOOL_OK);
                status = spool_file_add(&f, &r);
                if (status == SPOOL_OK)
                        status = spool_file_commit(&f);
                taken += status == SPOOL_OK;
        }
        spool_file_roll_back(&f);
        assert_int_equal(status, SPOOL_FULL);
        assert_int_equal(taken, 3);
        assert_int_equal(spool_file_begin(&f), SPOOL_OK);
        assert_int_equal(erase_range(&f, 1, 1), SPOOL_OK);
        assert_int_equal(spool_file_add(&f, &r), SPOOL_OK);
        assert_int_equal(spool_file_commit(&f), SPOOL_OK);
        spool_file_close(&f);
        assert_int_equal(spool_file_open(&f, dir, 1 << 20, aside), SPOOL_OK);
        assert_int_equal(f.contents.lines, 3);
        spool_file_close(&f);
        remove_dir(dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order_counts_and_origin),
                cmocka_unit_test(test_full),
                cmocka_unit_test(test_sweep),
        };

        return cmocka_run_group_tests(tests, faulty_disk_set_up, NULL);
}
