/* Reads, adds and erases lines of the spool's file. */
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "spool/spool_file.h"
#include "spool/spool_sql.h"

enum { MOVE_BYTES = 80 << 20 }; /* enough for moving the longest line, 64 MB */

/* --- looking --- */

static int64_t hash_of(const struct spool_record *r)
{
        return (int64_t)XXH3_64bits_withSeed(r->text.ptr, r->text.len, (uint64_t)r->received_us ^ r->receipt);
}

enum spool_status spool_file_begin_reading(struct spool_file *f)
{
        f->reading = true;
        return spool_sql_execute(f, "BEGIN");
}

/* Ends the statement that reads. */
static void stop_reading(struct spool_file *f)
{
        sqlite3_reset(f->read);
        f->read_at = -1;
}

void spool_file_end_reading(struct spool_file *f)
{
        stop_reading(f);
        f->reading = false;
        spool_file_roll_back(f);
}

/* Goes to the first line after @id: returns SQLITE_ROW if there is one. */
static int seek(struct spool_file *f, int64_t id)
{
        if (f->read_at != id) {
                stop_reading(f);
                sqlite3_bind_int64(f->read, 1, id);
        }
        return sqlite3_step(f->read);
}

int spool_file_next(struct spool_file *f, int64_t id, struct buf *text, struct spool_record *ret,
                    bool *ret_whole)
{
        sqlite3_stmt *s = f->read;
        const char *peer;
        const char *client;
        const void *blob;
        int code = seek(f, id);

        if (code != SQLITE_ROW) {
                int r = code == SQLITE_DONE ? 0 : -(int)spool_sql_fail(f, code);

                stop_reading(f);
                return r;
        }
        *ret = (struct spool_record){
                .id = sqlite3_column_int64(s, 0),
                .received_us = sqlite3_column_int64(s, 1),
                .connection = (uint64_t)sqlite3_column_int64(s, 4),
                .line = (uint64_t)sqlite3_column_int64(s, 5),
                .receipt = (uint64_t)sqlite3_column_int64(s, 7),
        };
        peer = (const char *)sqlite3_column_text(s, 3);
        client = (const char *)sqlite3_column_text(s, 8);
        snprintf(ret->peer, sizeof(ret->peer), "%s", peer ? peer : "?");
        snprintf(ret->client, sizeof(ret->client), "%s", client ? client : "");
        blob = sqlite3_column_blob(s, 6);
        text->len = 0;
        buf_put(text, blob ? blob : "", (size_t)sqlite3_column_bytes(s, 6));
        ret->text = (struct slice){text->data, text->len};
        *ret_whole = hash_of(ret) == sqlite3_column_int64(s, 2);
        f->read_at = ret->id;
        if (!f->reading)
                stop_reading(f);
        return 1;
}

int64_t spool_file_oldest(struct spool_file *f)
{
        int64_t received_us = 0;

        if (seek(f, 0) == SQLITE_ROW)
                received_us = sqlite3_column_int64(f->read, 1);
        stop_reading(f);
        return received_us;
}

int spool_file_check(struct spool_file *f, void (*tell)(const char *fault))
{
        sqlite3_stmt *s = NULL;
        int faults = 0;
        int code;

        if (spool_sql_prepare(f, "PRAGMA integrity_check", &s) != SPOOL_OK)
                return -1;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                const char *fault = (const char *)sqlite3_column_text(s, 0);

                if (fault && strcmp(fault, "ok") != 0) {
                        tell(fault);
                        faults++;
                }
        }
        if (code != SQLITE_DONE)
                spool_sql_fail(f, code);
        sqlite3_finalize(s);
        return code == SQLITE_DONE ? faults : -1;
}

/* --- writing --- */

enum spool_status spool_file_begin(struct spool_file *f)
{
        f->change = (struct spool_tally){0};
        return spool_sql_execute(f, "BEGIN IMMEDIATE");
}

/* Committed changes go to the account before they are reported. */
static enum spool_status note_change(struct spool_file *f)
{
        bool added = f->change.last > 0;
        int64_t lowest;

        if (added)
                f->tally.last = f->change.last;
        f->tally.erased += f->change.erased;
        f->tally.damaged += f->change.damaged;
        if (spool_sql_number(f, "SELECT coalesce(min(id), 0) FROM lines", &lowest) == SPOOL_OK)
                f->tally.lowest = lowest > 0 ? lowest : f->tally.last + 1;
        return spool_sql_account(f, added);
}

enum spool_status spool_file_commit(struct spool_file *f)
{
        enum spool_status status = SPOOL_OK;
        char sql[100];

        if (f->change.erased > 0) {
                snprintf(sql, sizeof(sql), "UPDATE account SET erased = erased + %llu",
                         (unsigned long long)f->change.erased);
                status = spool_sql_execute(f, sql);
        }
        if (status == SPOOL_OK)
                status = spool_sql_execute(f, "COMMIT");
        return status == SPOOL_OK ? note_change(f) : status;
}

void spool_file_roll_back(struct spool_file *f)
{
        if (!sqlite3_get_autocommit(f->db)) /* some errors roll back by themselves */
                sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
}

enum spool_status spool_file_add(struct spool_file *f, const struct spool_record *record)
{
        sqlite3_stmt *s = f->insert;
        enum spool_status status;

        sqlite3_bind_int64(s, 1, record->received_us);
        sqlite3_bind_int64(s, 2, hash_of(record));
        sqlite3_bind_text(s, 3, record->peer, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (int64_t)record->connection);
        sqlite3_bind_int64(s, 5, (int64_t)record->line);
        sqlite3_bind_blob64(s, 6, record->text.ptr, record->text.len, SQLITE_STATIC);
        sqlite3_bind_int64(s, 7, (int64_t)record->receipt);
        sqlite3_bind_text(s, 8, record->client, -1, SQLITE_STATIC);
        status = spool_sql_step(f, s);
        if (status == SPOOL_OK)
                f->change.last = sqlite3_last_insert_rowid(f->db);
        return status;
}

enum spool_status spool_file_erase(struct spool_file *f, int64_t first, int64_t last)
{
        enum spool_status status;

        sqlite3_bind_int64(f->erase, 1, first);
        sqlite3_bind_int64(f->erase, 2, last);
        status = spool_sql_step(f, f->erase);
        if (status == SPOOL_OK)
                f->change.erased += (uint64_t)sqlite3_changes(f->db);
        return status;
}

enum spool_status spool_file_keep_damaged(struct spool_file *f, int64_t id)
{
        char sql[400];
        enum spool_status status;

        /* moving a stored line may exceed max_bytes */
        snprintf(sql, sizeof(sql),
                 "PRAGMA max_page_count = %llu; BEGIN IMMEDIATE; "
                 "INSERT INTO damaged SELECT * FROM lines WHERE id = %lld; "
                 "DELETE FROM lines WHERE id = %lld; COMMIT",
                 spool_sql_pages(f, f->max_bytes + MOVE_BYTES), (long long)id, (long long)id);
        status = spool_sql_execute(f, sql);
        spool_file_roll_back(f);
        snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu", spool_sql_pages(f, f->max_bytes));
        sqlite3_exec(f->db, sql, NULL, NULL, NULL);
        f->change = (struct spool_tally){.damaged = 1};
        return status == SPOOL_OK ? note_change(f) : status;
}

enum spool_status spool_file_test(struct spool_file *f)
{
        char sql[64];

        snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", SPOOL_SQL_VERSION);
        return spool_sql_execute(f, sql);
}

/* VACUUM copies what is in the file; incremental_vacuum takes 10 us a page. */
void spool_file_shrink(struct spool_file *f)
{
        spool_sql_execute(f, f->tally.damaged == 0 ? "VACUUM" : "PRAGMA incremental_vacuum");
        spool_sql_execute(f, "PRAGMA wal_checkpoint(TRUNCATE)");
}
