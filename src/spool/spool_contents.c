/* Counts what is in the file. */
#include "spool/spool_contents.h"

#include <assert.h>
#include <stdio.h>

#include <sqlite3.h>

#include "spool/spool_sql.h"

static_assert(SPOOL_ENTRY_BYTES == 64, "make_sql divides by it");

bool spool_contents_has(struct spool_file *f, const char *table)
{
        return sqlite3_table_column_metadata(f->db, NULL, table, NULL, NULL, NULL, NULL, NULL, NULL) ==
               SQLITE_OK;
}

/* Three rows: lines of format 2, lines in blocks, what is no line. A single statement, since a daemon may be using the
 * file. It reads all pages, which tests that they are readable. A block's lines are counted by their entries, which are there
 * even if a number in the row is damaged. */
static void make_sql(struct spool_file *f, char *ret, size_t size)
{
        snprintf(
                ret, size,
                "SELECT count(*), sum(length(text)), min(received), max(received), min(id), max(id) FROM lines "
                "UNION ALL %s UNION ALL SELECT (SELECT count(*) FROM damaged), (SELECT max(seq) FROM "
                "sqlite_sequence WHERE name IN ('lines', 'blocks')), %s, 0, 0",
                spool_contents_has(f, "blocks")
                        ? "SELECT sum(length(entries) / 64), sum(bytes) + 0 * sum(length(substr(texts, -1))), "
                          "min(oldest), max(newest), min(first), 0 FROM blocks"
                        : "SELECT 0, 0, NULL, NULL, NULL, NULL",
                spool_contents_has(f, "account") ? "(SELECT file FROM account), (SELECT erased FROM account)"
                                                 : "0, 0");
}

/* The lower number that is not 0. */
static int64_t lower(int64_t a, int64_t b)
{
        return a != 0 && (b == 0 || a < b) ? a : b;
}

static void add_lines(struct spool_file *f, sqlite3_stmt *s)
{
        struct spool_contents *c = &f->contents;
        int64_t newest = sqlite3_column_int64(s, 3);

        c->lines += (uint64_t)sqlite3_column_int64(s, 0);
        c->bytes += (uint64_t)sqlite3_column_int64(s, 1);
        c->oldest = lower(c->oldest, sqlite3_column_int64(s, 2));
        c->newest = newest > c->newest ? newest : c->newest;
        f->tally.lowest = lower(f->tally.lowest, sqlite3_column_int64(s, 4));
        f->old_last += sqlite3_column_int64(s, 5);
}

static void add_rest(struct spool_file *f, sqlite3_stmt *s)
{
        f->contents.damaged = f->tally.damaged = (uint64_t)sqlite3_column_int64(s, 0);
        f->tally.last = sqlite3_column_int64(s, 1);
        f->tally.file = (uint64_t)sqlite3_column_int64(s, 2);
        f->tally.erased = (uint64_t)sqlite3_column_int64(s, 3);
        if (f->tally.lowest == 0)
                f->tally.lowest = f->tally.last + 1;
}

enum spool_status spool_contents_read(struct spool_file *f)
{
        char sql[800];
        sqlite3_stmt *s = NULL;
        enum spool_status status;
        int code;

        f->contents = (struct spool_contents){0};
        f->tally = (struct spool_tally){0};
        f->old_last = 0;
        make_sql(f, sql, sizeof(sql));
        status = spool_sql_prepare(f, sql, &s);
        if (status != SPOOL_OK)
                return status;
        for (int row = 0; (code = sqlite3_step(s)) == SQLITE_ROW; row++) {
                if (row < 2)
                        add_lines(f, s);
                else
                        add_rest(f, s);
        }
        if (code != SQLITE_DONE)
                status = spool_sql_fail(f, code);
        sqlite3_finalize(s);
        return status;
}
