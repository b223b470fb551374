/* The spool reads a file with damaged lines: every intact line is replayed once, each damaged one is counted once and kept, and
 * lines that are added later are as safe as before. */
#include "spool_owner.h"

/* --- damaged lines --- */

static void test_damaged_neighbours(void **state)
{
        static const struct {
                unsigned first;
                unsigned last;
        } ranges[] = {{1, 2},   {1, 1},     {10, 11},           {30, 60},      {40, 43},
                      {41, 42}, {1, LINES}, {LINES - 1, LINES}, {2, LINES - 1}};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);
                bool damaged[LINES + 1] = {0};
                sqlite3 *db = open_file(o);

                for (unsigned n = ranges[i].first; n <= ranges[i].last; n++) {
                        damaged[n] = true;
                        damage_line(db, n, (int)(n % SPOOL_ENTRY_BYTES));
                }
                sqlite3_close(db);
                assert_replayed(o, LINES, damaged);
                remove_spool(o);
        }
}

static void test_random_lines(void **state)
{
        (void)state;
        srand(1);
        for (int round = 0; round < 60; round++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);
                bool damaged[LINES + 1] = {0};
                sqlite3 *db = open_file(o);
                int share = 1 + rand() % 20;

                execute(db, "PRAGMA synchronous = OFF");
                for (unsigned n = 1; n <= LINES; n++) {
                        damaged[n] = rand() % share == 0;
                        if (damaged[n])
                                damage_line(db, n, rand() % SPOOL_ENTRY_BYTES);
                }
                sqlite3_close(db);
                assert_replayed(o, LINES, damaged);
                remove_spool(o);
        }
}

/* Where one job ends and the next goes on reading, within a block. */
static void test_neighbours_between_jobs(void **state)
{
        enum { MANY = SPOOL_CHUNK_LINES + 1000 };
        struct owner *o = make_spool(MANY, 0);
        bool *damaged = calloc(MANY + 1, sizeof(*damaged));
        sqlite3 *db = open_file(o);

        (void)state;
        for (unsigned n = SPOOL_CHUNK_LINES - 1; n <= SPOOL_CHUNK_LINES + 2; n++) {
                damaged[n] = true;
                damage_line(db, n, 0);
        }
        sqlite3_close(db);
        assert_replayed(o, MANY, damaged);
        free(damaged);
        remove_spool(o);
}

/* Damaged lines that cannot be moved aside stay where they are, and each is counted once. Intact lines are replayed. */
static void test_lines_that_cannot_be_moved(void **state)
{
        enum { MANY = SPOOL_CHUNK_LINES + 1000 };
        static const unsigned bad[] = {
                1, 2, 500, SPOOL_CHUNK_LINES - 1, SPOOL_CHUNK_LINES, SPOOL_CHUNK_LINES + 1, MANY - 1, MANY};
        struct owner *o = make_spool(MANY, 0);
        sqlite3 *db = open_file(o);

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                damage_line(db, bad[i], 20);
        execute(db, "CREATE TRIGGER t BEFORE INSERT ON damaged BEGIN SELECT RAISE(ABORT, 'no'); END");
        sqlite3_close(db);
        for (int turn = 0; turn < 3; turn++) {
                unsigned expected = turn == 0 ? MANY - ARRAY_LEN(bad) : 0;

                open_spool(o);
                assert_int_equal(o->spool.lines, expected + ARRAY_LEN(bad));
                run(o);
                assert_int_equal(o->total, expected);
                assert_int_equal(o->spool.lost, ARRAY_LEN(bad));
                add_lines(o, 1, LATER, 0); /* are read from the start, after those that cannot be moved */
                spool_rewind(&o->spool);
                run(o);
                assert_int_equal(o->total, expected + LATER);
                assert_int_equal(o->spool.lost, ARRAY_LEN(bad));
                assert_int_equal(o->spool.lines, 0);
                close_spool(o);
                assert_int_equal(number(o, "SELECT coalesce(sum(length(entries)), 0) / 64 FROM blocks"),
                                 turn < 2 ? ARRAY_LEN(bad) : 0);
                if (turn == 1)
                        change_file(o, "DROP TRIGGER t");
        }
        assert_int_equal(number(o, "SELECT count(*) FROM damaged"), ARRAY_LEN(bad));
        remove_spool(o);
}

/* They were counted when they could not be moved. */
static void test_lines_that_are_moved_later(void **state)
{
        struct owner *o = make_spool(LINES, TEXT_MAX);
        sqlite3 *db = open_file(o);

        (void)state;
        for (unsigned n = 50; n < 55; n++)
                damage_line(db, n, 20);
        execute(db, "CREATE TRIGGER t BEFORE INSERT ON damaged BEGIN SELECT RAISE(ABORT, 'no'); END");
        open_spool(o);
        run(o);
        assert_int_equal(o->spool.lost, 5);
        execute(db, "DROP TRIGGER t");
        sqlite3_close(db);
        spool_rewind(&o->spool);
        add_lines(o, 1, LATER, 0);
        run(o);
        assert_int_equal(o->total, LINES - 5 + LATER);
        assert_int_equal(o->spool.lost, 5);
        close_spool(o);
        assert_int_equal(number(o, "SELECT count(*) FROM damaged"), 5);
        assert_int_equal(number(o, "SELECT count(*) FROM blocks"), 0);
        remove_spool(o);
}

/* Lines are settled in any order, some of them before others are read again. */
static void test_settled_one_by_one(void **state)
{
        struct owner *o = make_spool(LINES, TEXT_MAX);
        sqlite3 *db = open_file(o);

        (void)state;
        for (unsigned n = 3; n <= LINES; n += 3)
                damage_line(db, n, 20);
        execute(db, "CREATE TRIGGER t BEFORE INSERT ON damaged BEGIN SELECT RAISE(ABORT, 'no'); END");
        open_spool(o);
        for (unsigned round = 0; o->spool.lines > 0; round++) {
                unsigned kept = 0;

                assert_true(round < 1000);
                o->holding = true;
                run(o);
                for (unsigned i = 0; i < o->held_len; i++) {
                        if (o->held[i].number % 7 == round % 7) {
                                settle(o, &o->held[i]);
                        } else {
                                spool_forget(&o->spool, o->held[i].in_spool);
                                block_unref(o->held[i].block);
                                kept++;
                        }
                }
                o->held_len = 0;
                run(o);
                assert_int_equal(o->spool.lines, kept);
                if (round == 3)
                        execute(db, "DROP TRIGGER t");
                spool_rewind(&o->spool);
        }
        for (unsigned n = 1; n <= LINES; n++)
                assert_int_equal(o->seen[n], n % 3 == 0 ? 0 : n % 7 + 1);
        assert_int_equal(o->spool.lost, LINES / 3);
        sqlite3_close(db);
        close_spool(o);
        assert_int_equal(number(o, "SELECT count(*) FROM damaged"), LINES / 3);
        assert_int_equal(number(o, "SELECT count(*) FROM blocks"), 0);
        remove_spool(o);
}

/* --- transactions that fail, or only seem to --- */

/* What is erased is what was settled, although the lines were erased before and that was not noticed. */
static void test_erased_twice(void **state)
{
        struct spool_place places[LINES];
        struct spool_record r = {0};
        char aside[SPOOL_PATH_BYTES];
        struct owner *o = make_spool(30, TEXT_MAX);
        struct spool_file f;
        size_t len = 0;
        bool whole;

        (void)state;
        assert_int_equal(spool_file_open(&f, o->dir, 64 << 20, aside), SPOOL_OK);
        while (len < 20 && spool_file_next(&f, r.place, &r, &whole) > 0) {
                places[len] = r.place;
                len += r.id > 1; /* all of them but the first */
        }
        for (int i = 0; i < 2; i++) {
                assert_int_equal(spool_file_begin(&f), SPOOL_OK);
                assert_int_equal(spool_file_erase(&f, places, len), SPOOL_OK);
                assert_int_equal(spool_file_commit(&f), SPOOL_OK);
                assert_int_equal(f.tally.erased, 20);
                assert_int_equal(number(o, "SELECT sum(length(entries)) / 64 FROM blocks"), 10);
        }
        spool_file_close(&f);
        remove_spool(o);
}

/* Without space to erase them, settled lines go with their file, but damaged ones are kept. */
static void test_damaged_lines_on_a_full_disk(void **state)
{
        (void)state;
        for (int moved = 0; moved < 2; moved++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);
                struct spool_record r = {0};
                struct spool_damage damage = {0};
                char aside[SPOOL_PATH_BYTES];
                sqlite3 *db = open_file(o);
                struct spool_file f;
                bool whole = true;

                damage_line(db, 7, 20);
                sqlite3_close(db);
                assert_int_equal(spool_file_open(&f, o->dir, 64 << 20, aside), SPOOL_OK);
                while (whole)
                        assert_int_equal(spool_file_next(&f, r.place, &r, &whole), 1);
                if (moved)
                        assert_int_equal(spool_file_keep_damaged(&f, &r, &damage), SPOOL_OK);
                assert_int_equal(spool_file_start_over(&f, !moved, aside), SPOOL_OK);
                assert_int_equal(f.contents.lines, 0);
                assert_int_equal(f.findings.lost, 0);
                spool_file_close(&f);
                assert_int_equal(spool_file_open_read_only(&f, aside, NULL), SPOOL_OK);
                assert_int_equal(f.contents.damaged, moved);
                assert_int_equal(f.contents.lines, LINES - moved);
                spool_file_close(&f);
                remove_spool(o);
        }
}

/* A transaction is committed, but seems to fail: its lines are in the file twice. */
static void test_lines_that_were_added_twice(void **state)
{
        struct owner *o = make_spool(LINES, TEXT_MAX);
        int full = open("/dev/full", O_WRONLY);
        int account;
        int fd;

        (void)state;
        open_spool(o);
        run(o);
        fd = o->spool.job.file.account.fd;
        account = dup(fd);
        dup2(full, fd);
        add_lines(o, 1, LATER, TEXT_MAX);
        while (!spool_failing(&o->spool))
                uv_run(&o->loop, UV_RUN_ONCE);
        assert_int_equal(o->spooled, 0);
        dup2(account, fd);
        while (spool_failing(&o->spool))
                uv_run(&o->loop, UV_RUN_ONCE);
        run(o);
        assert_int_equal(o->spooled, LATER);
        for (unsigned n = 1; n <= LATER; n++)
                assert_true(o->seen[n] >= 2); /* once from the file before */
        assert_true(o->total > LINES + LATER);
        assert_int_equal(o->spool.lines, 0);
        assert_int_equal(o->spool.bytes, 0);
        assert_int_equal(o->spool.lost, 0);
        close(account);
        close(full);
        close_spool(o);
        assert_int_equal(number(o, "SELECT count(*) FROM blocks"), 0);
        remove_spool(o);
}

/* --- earlier formats --- */

static void replay_old_lines(const char *damage, unsigned bad, bool movable)
{
        for (int format = 1; format <= 2; format++) {
                struct owner *o = calloc(1, sizeof(*o));

                make_dir(o->dir);
                make_old_file(o->dir, format);
                change_file(o, damage);
                if (!movable)
                        change_file(
                                o,
                                "CREATE TRIGGER t BEFORE INSERT ON damaged BEGIN SELECT RAISE(ABORT, 'no'); END");
                open_spool(o);
                assert_int_equal(o->spool.lines, OLD);
                run(o);
                assert_int_equal(o->total, OLD - bad);
                assert_int_equal(o->spool.lost, bad);
                add_lines(o, OLD + 1, LATER, 0);
                spool_rewind(&o->spool);
                run(o);
                assert_int_equal(o->total, OLD - bad + LATER);
                assert_int_equal(o->spool.lost, bad);
                assert_int_equal(o->spool.lines, 0);
                close_spool(o);
                assert_int_equal(number(o, "SELECT count(*) FROM damaged"), movable ? bad : 0);
                assert_int_equal(number(o, "SELECT count(*) FROM lines"), movable ? 0 : bad);
                remove_spool(o);
        }
}

static void test_earlier_formats(void **state)
{
        (void)state;
        replay_old_lines("", 0, true);
        replay_old_lines(
                "UPDATE lines SET text = x'00' || substr(text, 2) WHERE id IN (1, 2, 20, 21, 22, 49, 50)", 7,
                true);
        replay_old_lines(
                "UPDATE lines SET text = x'00' || substr(text, 2) WHERE id IN (1, 2, 20, 21, 22, 49, 50)", 7,
                false);
        replay_old_lines("UPDATE lines SET text = x'00' || text", OLD, true);
        replay_old_lines("UPDATE lines SET received = -9223372036854775807 - 1 WHERE id = 7", 1, true);
        replay_old_lines("UPDATE lines SET received = 'text', hash = 'text', text = 5 WHERE id = 7", 1, true);
        replay_old_lines("UPDATE lines SET id = 2305843009213693952 WHERE id = 50", 0, true);
        replay_old_lines(
                "UPDATE lines SET id = 2305843009213693952 WHERE id = 50; UPDATE lines SET hash = 1 WHERE id > 48",
                2, true);
        replay_old_lines("INSERT INTO damaged SELECT * FROM lines WHERE id < 9; DELETE FROM damaged; "
                         "UPDATE sqlite_sequence SET seq = 9223372036854775807",
                         0, true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_damaged_neighbours),
                cmocka_unit_test(test_random_lines),
                cmocka_unit_test(test_neighbours_between_jobs),
                cmocka_unit_test(test_lines_that_cannot_be_moved),
                cmocka_unit_test(test_lines_that_are_moved_later),
                cmocka_unit_test(test_settled_one_by_one),
                cmocka_unit_test(test_erased_twice),
                cmocka_unit_test(test_damaged_lines_on_a_full_disk),
                cmocka_unit_test(test_lines_that_were_added_twice),
                cmocka_unit_test(test_earlier_formats),
        };

        return cmocka_run_group_tests(tests, faulty_disk_set_up, NULL);
}
