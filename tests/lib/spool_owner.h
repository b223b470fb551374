#ifndef SPOOL_OWNER_H
#define SPOOL_OWNER_H

#include "spool/spool.h"

#include <fcntl.h>

#include "base/list.h"
#include "faulty_disk.h"
#include "old_spool.h"

/* What the daemon is to a spool; and the spool's file, whose lines and numbers a test may damage. */

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

static inline void on_spooled(void *ctx, struct line *line)
{
        struct owner *o = ctx;

        o->spooled++;
        block_unref(line->block);
}

static inline bool always(void *ctx)
{
        (void)ctx;
        return true;
}

static inline size_t make_text(char text[TEXT_MAX + 1], unsigned number, size_t len)
{
        int n = snprintf(text, TEXT_MAX + 1, "line %u", number);

        memset(text + n, 'x', TEXT_MAX + 1 - (size_t)n);
        return (size_t)n > len ? (size_t)n : len;
}

static inline void settle(struct owner *o, struct line *line)
{
        spool_settle(&o->spool, line->in_spool);
        block_unref(line->block);
}

static inline void on_drained(void *ctx, struct line *line)
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

static inline void on_job_over(void *ctx)
{
        (void)ctx;
}

static inline void open_spool(struct owner *o)
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

static inline void run(struct owner *o)
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

static inline void close_spool(struct owner *o)
{
        spool_close(&o->spool, NULL);
        uv_run(&o->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&o->loop), 0);
        memory_deinit(&o->memory);
}

static inline void add_lines(struct owner *o, unsigned first, unsigned len, size_t bytes)
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

static inline sqlite3 *open_file(const struct owner *o)
{
        char path[100];
        sqlite3 *db;

        snprintf(path, sizeof(path), "%s/spool.db", o->dir);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        return db;
}

static inline void change_file(const struct owner *o, const char *sql)
{
        sqlite3 *db = open_file(o);

        execute(db, sql);
        sqlite3_close(db);
}

static inline int64_t number(const struct owner *o, const char *sql)
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
static inline struct owner *make_spool(unsigned lines, size_t bytes)
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

static inline void remove_spool(struct owner *o)
{
        remove_dir(o->dir);
        free(o);
}

/* Damages the entry of line @n: the byte @at. */
static inline void damage_line(sqlite3 *db, unsigned n, int at)
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
static inline void assert_replayed(struct owner *o, unsigned lines, const bool *damaged)
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

#endif
