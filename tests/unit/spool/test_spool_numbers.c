/* The spool reads a file with damaged numbers: every intact line is replayed once, and lines that are added later are as safe
 * as before, whatever numbers the file contains. */
#include "spool_owner.h"

/* Numbers that belong to no line cost no line. */
static void test_damaged_numbers(void **state)
{
#define FIRST_ROW " WHERE last = (SELECT min(last) FROM blocks)"
#define LAST_ROW  " WHERE last = (SELECT max(last) FROM blocks)"
        static const char *const changes[] = {
                "UPDATE blocks SET first = first + 1",
                "UPDATE blocks SET first = first - 1",
                "UPDATE blocks SET first = last + 1000",
                ("UPDATE blocks SET first = last + 1000" FIRST_ROW),
                "UPDATE blocks SET first = 0",
                "UPDATE blocks SET first = -9223372036854775807 - 1",
                "UPDATE blocks SET first = 9223372036854775807",
                "UPDATE blocks SET first = 'text'",
                "UPDATE blocks SET bytes = 9223372036854775807",
                "UPDATE blocks SET bytes = -1",
                "UPDATE blocks SET bytes = 1",
                "UPDATE blocks SET oldest = -9223372036854775807 - 1, newest = 9223372036854775807",
                "UPDATE blocks SET oldest = 9223372036854775807, newest = -1",
                ("UPDATE blocks SET last = 2305843009213693952" LAST_ROW),
                ("UPDATE blocks SET last = last + 1000000" LAST_ROW),
                ("UPDATE blocks SET last = last - 30" LAST_ROW),
                ("UPDATE blocks SET last = 1" FIRST_ROW),
                ("UPDATE blocks SET last = 0" FIRST_ROW),
                ("UPDATE blocks SET last = -9223372036854775807" FIRST_ROW),
                "UPDATE blocks SET entries = CAST(entries AS TEXT)",
                "UPDATE blocks SET texts = CAST(texts AS TEXT)",
                "UPDATE blocks SET entries = entries || x'00112233'",
                "UPDATE account SET erased = 9223372036854775807",
                "UPDATE account SET erased = -9223372036854775807 - 1",
                "UPDATE account SET erased = -1",
                "UPDATE account SET erased = 7",
                "UPDATE account SET erased = 1000000",
                "UPDATE account SET erased = 'text'",
                "UPDATE sqlite_sequence SET seq = 0",
                "UPDATE sqlite_sequence SET seq = 5",
                "UPDATE sqlite_sequence SET seq = -1",
                "UPDATE sqlite_sequence SET seq = 1000000",
                "UPDATE sqlite_sequence SET seq = 9223372036854775807",
                "UPDATE sqlite_sequence SET seq = 'text'",
                "DELETE FROM sqlite_sequence",
                "PRAGMA user_version = 0",
                "PRAGMA user_version = 1",
                "PRAGMA user_version = 2",
                "INSERT INTO damaged SELECT 9223372036854775807, 0, 0, '', 0, 0, '', 0, ''; DELETE FROM damaged",
        };
        const bool damaged[LINES + 1] = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);

                print_message("%s\n", changes[i]);
                change_file(o, changes[i]);
                assert_replayed(o, LINES, damaged);
                remove_spool(o);
        }
}

/* Lines in two blocks with the same numbers are replayed from both: that is for the database to find out. */
static void test_blocks_with_the_same_numbers(void **state)
{
#define COPY(last)                                                                                           \
        "INSERT INTO blocks SELECT " last                                                                    \
        ", first, bytes, oldest, newest, entries, texts FROM blocks" FIRST_ROW
        static const char *const changes[] = {COPY("last + 100000"), COPY("last + 1"), COPY("last - 1"),
                                              COPY("2000000000000000000")};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);
                unsigned copied = (unsigned)number(o, "SELECT length(entries) / 64 FROM blocks" FIRST_ROW);

                change_file(o, changes[i]);
                open_spool(o);
                run(o);
                for (unsigned n = 1; n <= LINES; n++)
                        assert_int_equal(o->seen[n], n <= copied ? 2 : 1);
                assert_int_equal(o->spool.lost, 0);
                close_spool(o);
                open_spool(o);
                assert_int_equal(o->spool.lost, 0);
                add_lines(o, 1, LATER, 0);
                run(o);
                assert_int_equal(o->total, LATER);
                close_spool(o);
                assert_int_equal(number(o, "SELECT count(*) FROM blocks"), 0);
                remove_spool(o);
        }
}

/* Entries and texts of another length, in the first block: lines that are not there count as missing. */
static void test_damaged_lengths(void **state)
{
#define CUT(what) "UPDATE blocks SET " what FIRST_ROW
        static const struct {
                const char *sql;
                int damaged; /* -1: all of the block */
                int missing; /* -1: all of the block */
        } changes[] = {
                {CUT("entries = substr(entries, 1, length(entries) - 64)"), 0, 1},
                {CUT("entries = substr(entries, 1, length(entries) - 1)"), 0, 1},
                {CUT("entries = x''"), 0, -1},
                {CUT("entries = substr(entries, 65)"), 0, 1},
                {CUT("entries = substr(entries, 2)"), -2, 1},
                {CUT("entries = substr(entries, 1, 64) || entries"), 1, 0},
                {CUT("texts = x''"), -1, 0},
                {CUT("texts = substr(texts, 1, length(texts) - 1)"), 1, 0},
                {CUT("texts = substr(texts, 2)"), -1, 0},
                {CUT("texts = x'00' || texts"), -1, 0},
                {CUT("entries = texts, texts = entries"), 0, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);
                unsigned all = (unsigned)number(o, "SELECT length(entries) / 64 FROM blocks" FIRST_ROW);
                unsigned damaged = changes[i].damaged < 0 ? all + 1 + (unsigned)changes[i].damaged
                                                          : (unsigned)changes[i].damaged;
                unsigned missing = changes[i].missing < 0 ? all : (unsigned)changes[i].missing;
                unsigned left = LINES - missing - (damaged == 1 && i == 5 ? 0 : damaged);

                print_message("%s\n", changes[i].sql);
                change_file(o, changes[i].sql);
                open_spool(o);
                assert_int_equal(o->spool.lost, missing);
                run(o);
                if (i == ARRAY_LEN(changes) - 1) { /* any bytes in place of the entries */
                        assert_int_equal(o->total, LINES - all);
                        assert_true(o->spool.lost >= all);
                } else {
                        assert_int_equal(o->total, left);
                        assert_int_equal(o->spool.lost, missing + damaged);
                        assert_int_equal(number(o, "SELECT count(*) FROM damaged"), damaged);
                }
                close_spool(o);
                open_spool(o);
                assert_int_equal(o->spool.lost, 0);
                assert_int_equal(o->spool.lines, 0);
                close_spool(o);
                remove_spool(o);
        }
}

/* Rows that cannot be found by their keys, or after which there is no number left: the file is set aside. */
static void test_damaged_keys(void **state)
{
        static const char *const changes[] = {
                ("UPDATE blocks SET last = 9223372036854775807" LAST_ROW),
                "INSERT INTO lines VALUES (9223372036854775807, 0, 0, '', 0, 0, '', 0, '')",
                "INSERT INTO lines VALUES (0, 0, 0, '', 0, 0, '', 0, '')",
                "INSERT INTO lines VALUES (-1, 0, 0, '', 0, 0, '', 0, '')",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
                struct owner *o = make_spool(LINES, TEXT_MAX);
                char aside[SPOOL_PATH_BYTES];
                struct spool_file f;

                change_file(o, changes[i]);
                assert_int_equal(spool_file_open(&f, o->dir, 64 << 20, aside), SPOOL_OK);
                assert_string_not_equal(aside, "");
                assert_int_equal(f.findings.lost, LINES);
                spool_file_close(&f);
                remove_spool(o);
        }
}

/* An intact line may have any number. */
static void test_lines_with_odd_numbers(void **state)
{
        static const int64_t ids[] = {1, 2, INT64_MAX - 1, INT64_MAX};
        struct owner *o = make_spool(LINES, TEXT_MAX);
        struct spool_block b = {0};
        sqlite3 *db = open_file(o);
        sqlite3_stmt *s;

        (void)state;
        spool_block_clear(&b);
        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
                char text[TEXT_MAX + 1];
                struct spool_record r = {.id = ids[i], .peer = "uid 1", .line = LINES + 1 + i};

                r.text = (struct slice){text, make_text(text, (unsigned)r.line, 0)};
                spool_block_add(&b, &r);
        }
        assert_int_equal(
                sqlite3_prepare_v2(db, "INSERT INTO blocks VALUES (?, ?, 0, 0, 0, ?, ?)", -1, &s, NULL),
                SQLITE_OK);
        sqlite3_bind_int64(s, 1, LINES + 1);
        sqlite3_bind_int64(s, 2, b.first);
        sqlite3_bind_blob(s, 3, b.entries.data, (int)b.entries.len, SQLITE_STATIC);
        sqlite3_bind_blob(s, 4, b.texts.data, (int)b.texts.len, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(s), SQLITE_DONE);
        sqlite3_finalize(s);
        sqlite3_close(db);
        spool_block_deinit(&b);
        open_spool(o);
        run(o);
        for (unsigned n = 1; n <= LINES + ARRAY_LEN(ids); n++)
                assert_int_equal(o->seen[n], 1);
        assert_int_equal(o->spool.lost, 0);
        close_spool(o);
        assert_int_equal(number(o, "SELECT count(*) FROM blocks"), 0);
        remove_spool(o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_damaged_numbers),
                cmocka_unit_test(test_blocks_with_the_same_numbers),
                cmocka_unit_test(test_damaged_lengths),
                cmocka_unit_test(test_damaged_keys),
                cmocka_unit_test(test_lines_with_odd_numbers),
        };

        return cmocka_run_group_tests(tests, faulty_disk_set_up, NULL);
}
