/* The spool's file, and a sweep over it: each of its operations on the disk fails in turn. What was committed
 * is there afterwards, whole; of what was not, either all or nothing; and no file is taken for damaged. */
#include "spool_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "test.h"

enum { TURNS = 5, LINES = 20 };

/* --- a disk that fails --- */

static struct {
        const sqlite3_io_methods *real;
        struct {
                const sqlite3_io_methods *real;
                sqlite3_io_methods faulty;
        } kinds[4]; /* of files, which differ in how they are locked only */
        sqlite3_vfs *base;
        sqlite3_vfs vfs;
        int countdown; /* operations until the one that fails; -1: none does */
        int error;     /* that it fails with */
        bool hit;
} disk = {.countdown = -1};

static bool fails(void)
{
        if (disk.countdown < 0 || disk.countdown-- > 0)
                return false;
        disk.hit = true;
        return true;
}

static int faulty_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
        return fails() ? SQLITE_IOERR_READ : disk.real->xRead(file, to, len, at);
}

/* Half of it gets there. */
static int faulty_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
        if (!fails())
                return disk.real->xWrite(file, from, len, at);
        disk.real->xWrite(file, from, len / 2, at);
        return disk.error;
}

static int faulty_sync(sqlite3_file *file, int flags)
{
        return fails() ? SQLITE_IOERR_FSYNC : disk.real->xSync(file, flags);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 len)
{
        return fails() ? SQLITE_IOERR_TRUNCATE : disk.real->xTruncate(file, len);
}

static const sqlite3_io_methods *make_faulty(const sqlite3_io_methods *real)
{
        size_t i = 0;

        while (disk.kinds[i].real && disk.kinds[i].real != real)
                i++;
        assert_true(i < ARRAY_LEN(disk.kinds));
        if (!disk.real)
                disk.real = real;
        assert_ptr_equal(real->xWrite, disk.real->xWrite);
        disk.kinds[i].real = real;
        disk.kinds[i].faulty = *real;
        disk.kinds[i].faulty.xRead = faulty_read;
        disk.kinds[i].faulty.xWrite = faulty_write;
        disk.kinds[i].faulty.xSync = faulty_sync;
        disk.kinds[i].faulty.xTruncate = faulty_truncate;
        return &disk.kinds[i].faulty;
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        int code;

        (void)vfs;
        if (fails())
                return SQLITE_CANTOPEN;
        code = disk.base->xOpen(disk.base, name, file, flags, ret_flags);
        if (code != SQLITE_OK || !file->pMethods)
                return code;
        file->pMethods = make_faulty(file->pMethods);
        return code;
}

static int set_up_disk(void **state)
{
        (void)state;
        disk.base = sqlite3_vfs_find(NULL);
        disk.vfs = *disk.base;
        disk.vfs.zName = "faulty";
        disk.vfs.pNext = NULL;
        disk.vfs.xOpen = faulty_open;
        return sqlite3_vfs_register(&disk.vfs, 1);
}

/* --- the scenario --- */

static void make_dir(char dir[64])
{
        strcpy(dir, "/tmp/ingestd-spool-XXXXXX");
        assert_non_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        assert_int_equal(system(command), 0);
}

static struct spool_record make_line(int turn, int i, char text[64])
{
        struct spool_record r = {.received_us = turn * 1000 + i, .connection = 7, .line = (uint64_t)i};

        snprintf(text, 64, "%d %d", turn, i);
        snprintf(r.peer, sizeof(r.peer), "uid 1");
        r.text = slice_str(text);
        return r;
}

/* Whether it is durable. */
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

static bool erase_first_lines(struct spool_file *f)
{
        enum spool_status status = spool_file_begin(f);

        for (int id = 1; id <= LINES && status == SPOOL_OK; id++)
                status = spool_file_erase(f, id);
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
        struct buf text = {0};
        bool whole;

        memset(ret, 0, TURNS * sizeof(*ret));
        assert_int_equal(spool_file_open(&f, dir, 64 << 20, aside), SPOOL_OK);
        assert_string_equal(aside, "");
        while (spool_file_next(&f, r.id, &text, &r, &whole) > 0) {
                assert_true(whole);
                ret[r.received_us / 1000]++;
        }
        buf_deinit(&text);
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

        disk.error = error;
        do {
                struct done done;
                char dir[64];

                make_dir(dir);
                disk.hit = false;
                disk.countdown = n++;
                done = run(dir);
                disk.countdown = -1;
                check(dir, &done);
                remove_dir(dir);
        } while (disk.hit);
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
        struct spool_contents contents;
        struct spool_file f;
        struct spool_record r = {0};
        struct buf text = {0};
        char dir[64];
        bool whole;

        (void)state;
        make_dir(dir);
        assert_int_equal(spool_file_open(&f, dir, 1 << 20, aside), SPOOL_OK);
        assert_true(add_turn(&f, 1));
        assert_true(add_turn(&f, 0));
        assert_int_equal(spool_file_count(&f, &contents), SPOOL_OK);
        assert_int_equal(contents.lines, 2 * LINES);
        assert_int_equal(contents.oldest, 0);
        assert_int_equal(contents.newest, 1000 + LINES - 1);
        assert_int_equal(contents.damaged, 0);
        for (int n = 0; n < 2 * LINES; n++) {
                char expected[64];

                make_line(n < LINES, n % LINES, expected);
                assert_int_equal(spool_file_next(&f, r.id, &text, &r, &whole), 1);
                assert_true(whole && slice_eq(r.text, slice_str(expected)));
                assert_int_equal(r.connection, 7);
                assert_int_equal(r.line, n % LINES);
                assert_string_equal(r.peer, "uid 1");
        }
        assert_int_equal(spool_file_next(&f, r.id, &text, &r, &whole), 0);
        buf_deinit(&text);
        spool_file_close(&f);
        remove_dir(dir);
}

static void test_full(void **state)
{
        static char big[300 * 1024];
        struct spool_record r = {.text = {big, sizeof(big)}};
        char aside[SPOOL_PATH_BYTES];
        struct spool_contents contents;
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
        assert_int_equal(spool_file_erase(&f, 1), SPOOL_OK);
        assert_int_equal(spool_file_add(&f, &r), SPOOL_OK);
        assert_int_equal(spool_file_commit(&f), SPOOL_OK);
        assert_int_equal(spool_file_count(&f, &contents), SPOOL_OK);
        assert_int_equal(contents.lines, 3);
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

        return cmocka_run_group_tests(tests, set_up_disk, NULL);
}
