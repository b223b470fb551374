/* Counts what is in the file. */
#include "spool/spool_contents.h"

#include <assert.h>
#include <stdio.h>

#include <sqlite3.h>

#include "spool/spool_sql.h"

static_assert(SPOOL_ENTRY_BYTES == 64, "sql divides by it");

/* What a row of the query is about. */
enum kind { LINE, BLOCK, REST };

enum { KIND, KEY, LOWEST, LINES, BYTES, BYTES_MAX, OLDEST, NEWEST };

bool spool_contents_has(struct spool_file *f, const char *table)
{
        return sqlite3_table_column_metadata(f->db, NULL, table, NULL, NULL, NULL, NULL, NULL, NULL) ==
               SQLITE_OK;
}

/* A row for each line of an earlier format, for each block, and one for the rest. A single statement, since a daemon may be
 * using the file. It reads all pages, which tests that they are readable. A block's lines are counted by their entries, which
 * are there even if a number or a type in the row is damaged. */
static void make_sql(struct spool_file *f, char *ret, size_t size)
{
        snprintf(
                ret, size,
                "SELECT 0, id, id, 1, length(text), length(text), received, received FROM lines%s "
                "UNION ALL SELECT 2, (SELECT count(*) FROM damaged), (SELECT max(seq) FROM "
                "sqlite_sequence WHERE name IN ('lines', 'blocks')), %s, 0, 0, 0",
                spool_contents_has(f, "blocks")
                        ? " UNION ALL SELECT 1, last, first, length(CAST(entries AS BLOB)) / 64, bytes, "
                          "length(CAST(texts AS BLOB)) + 0 * length(substr(texts, -1)), oldest, newest FROM blocks"
                        : "",
                spool_contents_has(f, "account") ? "(SELECT file FROM account), (SELECT erased FROM account)"
                                                 : "0, 0");
}

/* A number of the row that is out of range is damaged. */
static void add_lines(struct spool_file *f, sqlite3_stmt *s)
{
        struct spool_contents *c = &f->contents;
        int64_t key = sqlite3_column_int64(s, KEY);
        int64_t lowest = sqlite3_column_int64(s, LOWEST);
        int64_t bytes = sqlite3_column_int64(s, BYTES);
        int64_t bytes_max = sqlite3_column_int64(s, BYTES_MAX);
        int64_t oldest = sqlite3_column_int64(s, OLDEST);
        int64_t newest = sqlite3_column_int64(s, NEWEST);

        if (spool_time_valid(oldest) && (c->lines == 0 || oldest < c->oldest))
                c->oldest = oldest;
        if (spool_time_valid(newest) && newest > c->newest)
                c->newest = newest;
        c->lines += (uint64_t)sqlite3_column_int64(s, LINES);
        c->bytes += (uint64_t)(bytes >= 0 && bytes <= bytes_max ? bytes : bytes_max);
        if (f->tally.lowest == 0)
                f->tally.lowest = lowest > 0 && lowest <= key ? lowest : 1;
        f->highest = key > f->highest ? key : f->highest;
}

static uint64_t column_number(sqlite3_stmt *s, int i)
{
        int64_t number = sqlite3_column_int64(s, i);

        return number > 0 && number <= SPOOL_NUMBER_MAX ? (uint64_t)number : 0;
}

static void add_rest(struct spool_file *f, sqlite3_stmt *s)
{
        f->contents.damaged = f->tally.damaged = column_number(s, 1);
        f->tally.last = (int64_t)column_number(s, 2);
        f->tally.file = (uint64_t)sqlite3_column_int64(s, 3);
        f->tally.erased = column_number(s, 4);
        if (f->tally.lowest == 0)
                f->tally.lowest = f->tally.last + 1;
}

/* Reads a row. Returns false if its key is not above *before, the one of the row before it: SQLite cannot find such rows by
 * their keys; or if it is so high that none can follow. */
static bool add_row(struct spool_file *f, sqlite3_stmt *s, enum kind *kind, int64_t *before)
{
        enum kind now = (enum kind)sqlite3_column_int(s, KIND);
        int64_t key = sqlite3_column_int64(s, KEY);

        if (now == REST) {
                add_rest(f, s);
                return true;
        }
        if (now != *kind)
                *before = INT64_MIN;
        if (key <= *before || key > SPOOL_NUMBER_MAX || (now == LINE && key <= 0))
                return false;
        *kind = now;
        *before = key;
        add_lines(f, s);
        return true;
}

static enum spool_status read_rows(struct spool_file *f, sqlite3_stmt *s)
{
        int64_t before = INT64_MIN;
        enum kind kind = LINE;
        int code;

        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                if (!add_row(f, s, &kind, &before)) {
                        snprintf(f->error, sizeof(f->error), "its rows are out of order");
                        return SPOOL_DAMAGED;
                }
        }
        return code == SQLITE_DONE ? SPOOL_OK : spool_sql_fail(f, code);
}

enum spool_status spool_contents_read(struct spool_file *f)
{
        char sql[800];
        sqlite3_stmt *s = NULL;
        enum spool_status status;

        f->contents = (struct spool_contents){0};
        f->tally = (struct spool_tally){0};
        f->highest = 0;
        make_sql(f, sql, sizeof(sql));
        status = spool_sql_prepare(f, sql, &s);
        if (status == SPOOL_OK)
                status = read_rows(f, s);
        sqlite3_finalize(s);
        return status;
}
