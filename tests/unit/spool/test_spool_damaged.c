/* The spool reads a damaged file: every intact line is replayed once, each damaged one is counted once and kept, and what comes
 * later is as safe as before, whatever numbers the file contains. */
#include "spool/spool.h"

#include <fcntl.h>

#include "base/list.h"
#include "faulty_disk.h"
#include "old_spool.h"

enum { LINES = 200, LATER = 30, MAX = 10000, TEXT_MAX = 400 };

struct owner {
        uv_loop_t loop;
        struct memory memory;
        struct spool spool;
        char dir[64];
        unsigned added;
        unsigned spooled;
        uint8_t seen[MAX + 1]; /* how often each line was replayed, by its number */
        unsigned total;        /* of these */
        bool holding;          /* replayed lines are kept ... */
        struct line held[MAX]; /* ... here, not settled */
        unsigned held_len;
};

/* --- the owner of a spool --- */

static void on_spooled(void *ctx, struct line *line)
{
        struct owner *o = ctx;

        o->spooled++;
        block_unref(line->block);
}

static bool always(void *ctx)
{
        (void)ctx;
        return true;
}

static size_t make_text(char text[TEXT_MAX + 1], unsigned number, size_t len)
{
        int n = snprintf(text, TEXT_MAX + 1, "line %u", number);

        memset(text + n, 'x', TEXT_MAX + 1 - (size_t)n);
        return (size_t)n > len ? (size_t)n : len;
}

static void settle(struct owner *o, struct line *line)
{
        spool_settle(&o->spool, line->in_spool);
        block_unref(line->block);
}

static void on_drained(void *ctx, struct line *line)
{
        struct owner *o = ctx;
        char text[TEXT_MAX + 1];
        size_t len = make_text(text, (unsigned)line->number, line->text.len);

        assert_true(line->number <= MAX);
        assert_true(slice_eq(line->text, (struct slice){text, len}));
        assert_string_equal(line->in_spool->from.peer, "uid 1");
        o->seen[line->number]++;
        o->total++;
        if (o->holding)
                o->held[o->held_len++] = *line;
        else
                settle(o, line);
}

static void on_job_over(void *ctx)
{
        (void)ctx;
}

static void open_spool(struct owner *o)
{
        static const struct spool_ops ops = {on_spooled, always, always, on_drained, on_job_over};
        char error[SPOOL_ERROR_BYTES];

        o->spooled = o->added = o->total = o->held_len = 0;
        memset(o->seen, 0, sizeof(o->seen));
        memory_init(&o->memory, 1 << 28);
        assert_int_equal(uv_loop_init(&o->loop), 0);
        assert_int_equal(spool_open(&o->spool, &o->loop, o->dir, 64 << 20, &o->memory, &ops, o, error), 0);
        assert_string_equal(o->spool.job.aside, "");
}

static void run(struct owner *o)
{
        int turns = 0;

        do {
                assert_true(turns++ < 10000);
                assert_false(spool_failing(&o->spool));
                spool_flush(&o->spool);
                uv_run(&o->loop, o->spool.working ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        } while (o->spool.working || !spool_at_rest(&o->spool) ||
                 (!o->holding && o->spool.lines > o->spool.forgotten));
}

static void close_spool(struct owner *o)
{
        spool_close(&o->spool, NULL);
        uv_run(&o->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&o->loop), 0);
        memory_deinit(&o->memory);
}

static void add_lines(struct owner *o, unsigned first, unsigned len, size_t bytes)
{
        for (unsigned n = first; n < first + len; n++) {
                struct line line = {.block = block_new_exact(&o->memory, TEXT_MAX + 1),
                                    .number = n,
                                    .receipt = {1000 + n, n}};

                line.text.ptr = line.block->data;
                line.text.len = make_text(line.block->data, n, bytes);
                spool_add_take(&o->spool, &line, &(struct line_from){"uid 1", 1, n, "meta"});
                o->added++;
        }
}

/* --- the file --- */

static sqlite3 *open_file(const struct owner *o)
{
        char path[100];
        sqlite3 *db;

        snprintf(path, sizeof(path), "%s/spool.db", o->dir);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        return db;
}

static void change_file(const struct owner *o, const char *sql)
{
        sqlite3 *db = open_file(o);

        execute(db, sql);
        sqlite3_close(db);
}

static int64_t number(const struct owner *o, const char *sql)
{
        sqlite3 *db = open_file(o);
        sqlite3_stmt *s;
        int64_t n;

        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        n = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        sqlite3_close(db);
        return n;
}

/* Makes a file of lines 1 to @lines in a new folder. */
static struct owner *make_spool(unsigned lines, size_t bytes)
{
        struct owner *o = calloc(1, sizeof(*o));

        make_dir(o->dir);
        open_spool(o);
        o->holding = true;
        add_lines(o, 1, lines, bytes);
        while (o->spooled < lines)
                uv_run(&o->loop, UV_RUN_ONCE);
        while (o->spool.working)
                uv_run(&o->loop, UV_RUN_ONCE);
        for (unsigned i = 0; i < o->held_len; i++) {
                spool_forget(&o->spool, o->held[i].in_spool);
                block_unref(o->held[i].block);
        }
        o->holding = false;
        close_spool(o);
        assert_int_equal(number(o, "SELECT sum(length(entries)) / 64 FROM blocks"), lines);
        return o;
}

static void remove_spool(struct owner *o)
{
        remove_dir(o->dir);
        free(o);
}

/* Damages the entry of line @n: the byte @at. */
static void damage_line(sqlite3 *db, unsigned n, int at)
{
        sqlite3_stmt *s;
        sqlite3_blob *blob;
        unsigned before = 0;
        char byte;

        assert_int_equal(
                sqlite3_prepare_v2(db, "SELECT last, length(entries) / 64 FROM blocks", -1, &s, NULL),
                SQLITE_OK);
        while (sqlite3_step(s) == SQLITE_ROW && before + (unsigned)sqlite3_column_int(s, 1) < n)
                before += (unsigned)sqlite3_column_int(s, 1);
        assert_int_equal(
                sqlite3_blob_open(db, "main", "blocks", "entries", sqlite3_column_int64(s, 0), 1, &blob),
                SQLITE_OK);
        at += (int)(n - before - 1) * SPOOL_ENTRY_BYTES;
        assert_int_equal(sqlite3_blob_read(blob, &byte, 1, at), SQLITE_OK);
        byte ^= 0x40;
        assert_int_equal(sqlite3_blob_write(blob, &byte, 1, at), SQLITE_OK);
        sqlite3_blob_close(blob);
        sqlite3_finalize(s);
}

/* --- what is expected --- */

/* All of @lines are replayed but the @damaged ones, which are kept; lines that are added go through, too. */
static void assert_replayed(struct owner *o, unsigned lines, const bool *damaged)
{
        unsigned bad = 0;

        open_spool(o);
        assert_int_equal(o->spool.lost, 0);
        assert_int_equal(o->spool.lines, lines);
        run(o);
        for (unsigned n = 1; n <= lines; n++) {
                assert_int_equal(o->seen[n], !damaged[n]);
                bad += damaged[n];
        }
        assert_int_equal(o->spool.lost, bad);
        assert_int_equal(o->spool.lines, 0);
        assert_int_equal(o->spool.bytes, 0);
        add_lines(o, lines + 1, LATER, 0);
        run(o);
        for (unsigned n = lines + 1; n <= lines + LATER; n++)
                assert_int_equal(o->seen[n], 1);
        assert_int_equal(o->spool.lost, bad);
        close_spool(o);
        assert_int_equal(number(o, "SELECT count(*) FROM damaged"), bad);
        assert_int_equal(number(o, "SELECT count(*) FROM blocks"), 0);
        open_spool(o); /* it is counted once */
        assert_int_equal(o->spool.lost, 0);
        assert_int_equal(o->spool.lines, 0);
        assert_int_equal(o->spool.job.file.contents.damaged, bad);
        close_spool(o);
}

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

/* Lines that cannot be moved aside stay where they are; the others are replayed, and each is counted once. */
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

/* --- damaged numbers --- */

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
                cmocka_unit_test(test_damaged_numbers),
                cmocka_unit_test(test_blocks_with_the_same_numbers),
                cmocka_unit_test(test_damaged_lengths),
                cmocka_unit_test(test_damaged_keys),
                cmocka_unit_test(test_lines_with_odd_numbers),
                cmocka_unit_test(test_erased_twice),
                cmocka_unit_test(test_damaged_lines_on_a_full_disk),
                cmocka_unit_test(test_lines_that_were_added_twice),
                cmocka_unit_test(test_earlier_formats),
        };

        return cmocka_run_group_tests(tests, faulty_disk_set_up, NULL);
}
