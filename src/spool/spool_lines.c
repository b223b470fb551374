/* Reads, adds and erases lines of the spool's file. */
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "spool/spool_file.h"
#include "spool/spool_old.h"
#include "spool/spool_sql.h"

enum { MOVE_BYTES = 80 << 20 }; /* enough for moving the longest line, 64 MB */

/* --- looking --- */

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

/* The block from which lines were read may be changed. */
static void forget_block(struct spool_file *f)
{
        stop_reading(f);
        spool_block_clear(&f->block);
}

void spool_file_end_reading(struct spool_file *f)
{
        forget_block(f);
        f->reading = false;
        spool_file_roll_back(f);
}

/* Goes to the first block with ids above @id: returns SQLITE_ROW if there is one. */
static int seek_block(struct spool_file *f, int64_t id)
{
        int code;

        if (f->read_at != id) {
                stop_reading(f);
                sqlite3_bind_int64(f->read, 1, id);
        }
        code = sqlite3_step(f->read);
        f->read_at = code == SQLITE_ROW ? sqlite3_column_int64(f->read, 0) : -1;
        return code;
}

static struct slice column(sqlite3_stmt *s, int i)
{
        const char *bytes = sqlite3_column_blob(s, i);

        return (struct slice){bytes, (size_t)sqlite3_column_bytes(s, i)};
}

/* Loads the first block with ids above @id. Returns 1, 0 if there is none, or a negative enum spool_status. */
static int load_block(struct spool_file *f, int64_t id)
{
        int code = seek_block(f, id);
        int r = code == SQLITE_ROW;

        if (code == SQLITE_ROW)
                spool_block_load(&f->block, sqlite3_column_int64(f->read, 1),
                                 sqlite3_column_int64(f->read, 0), column(f->read, 2), column(f->read, 3));
        else if (code != SQLITE_DONE)
                r = -(int)spool_sql_fail(f, code);
        if (code != SQLITE_ROW || !f->reading)
                stop_reading(f);
        return r;
}

static int next_in_blocks(struct spool_file *f, int64_t id, struct spool_record *ret, bool *ret_whole)
{
        bool here = f->block.first <= id + 1 && id < f->block.last;
        int r = 1;

        while (!here || !spool_block_next(&f->block, id, ret, ret_whole)) {
                r = load_block(f, here ? f->block.last : id);
                if (r <= 0)
                        break;
                here = true;
        }
        return r;
}

int spool_file_next(struct spool_file *f, int64_t id, struct spool_record *ret, bool *ret_whole)
{
        int r = id < f->old_last ? spool_old_next(f, id, ret, ret_whole) : 0;

        return r == 0 && f->read ? next_in_blocks(f, id, ret, ret_whole) : r;
}

int64_t spool_file_oldest(struct spool_file *f)
{
        int64_t received_us = 0;

        spool_sql_number(f,
                         "SELECT coalesce((SELECT received FROM lines ORDER BY id LIMIT 1), "
                         "(SELECT oldest FROM blocks ORDER BY last LIMIT 1), 0)",
                         &received_us);
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
        spool_block_clear(&f->adding);
        forget_block(f);
        return spool_sql_execute(f, "BEGIN IMMEDIATE");
}

static const char lowest_sql[] =
        "SELECT coalesce((SELECT min(id) FROM lines), (SELECT first FROM blocks ORDER BY last LIMIT 1), 0)";

/* Committed changes go to spool.account before they are reported. */
static enum spool_status note_change(struct spool_file *f)
{
        bool added = f->change.last > 0;
        int64_t lowest;

        if (added)
                f->tally.last = f->change.last;
        f->tally.erased += f->change.erased;
        f->tally.damaged += f->change.damaged;
        if (spool_sql_number(f, lowest_sql, &lowest) == SPOOL_OK)
                f->tally.lowest = lowest > 0 ? lowest : f->tally.last + 1;
        return spool_sql_account(f, added);
}

static enum spool_status insert_block(struct spool_file *f, const struct spool_block *b)
{
        sqlite3_stmt *s = f->insert;

        sqlite3_bind_int64(s, 1, b->last);
        sqlite3_bind_int64(s, 2, b->first);
        sqlite3_bind_int64(s, 3, (int64_t)b->bytes);
        sqlite3_bind_int64(s, 4, b->oldest);
        sqlite3_bind_int64(s, 5, b->newest);
        sqlite3_bind_blob64(s, 6, b->entries.data, b->entries.len, SQLITE_STATIC);
        sqlite3_bind_blob64(s, 7, b->texts.data, b->texts.len, SQLITE_STATIC);
        return spool_sql_step(f, s);
}

static enum spool_status put_added(struct spool_file *f)
{
        enum spool_status status = SPOOL_OK;

        if (spool_block_lines(&f->adding) > 0)
                status = insert_block(f, &f->adding);
        spool_block_clear(&f->adding);
        return status;
}

enum spool_status spool_file_commit(struct spool_file *f)
{
        enum spool_status status = put_added(f);
        char sql[100];

        if (status == SPOOL_OK && f->change.erased > 0) {
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
        struct spool_record numbered = *record;

        numbered.id = (f->change.last > 0 ? f->change.last : f->tally.last) + 1;
        f->change.last = numbered.id;
        spool_block_add(&f->adding, &numbered);
        return spool_block_full(&f->adding) ? put_added(f) : SPOOL_OK;
}

static enum spool_status erase_block(struct spool_file *f, int64_t last)
{
        sqlite3_bind_int64(f->erase, 1, last);
        return spool_sql_step(f, f->erase);
}

/* Replaces the block by one without the lines @ids. */
static enum spool_status erase_in_block(struct spool_file *f, const int64_t *ids, size_t len)
{
        int r = load_block(f, ids[0] - 1);
        size_t lines = spool_block_lines(&f->block);
        enum spool_status status;

        if (r <= 0)
                return r == 0 ? SPOOL_OK : (enum spool_status) - r;
        spool_block_copy_without(&f->block, ids, len, &f->rest);
        status = erase_block(f, f->block.last);
        if (status == SPOOL_OK && spool_block_lines(&f->rest) > 0)
                status = insert_block(f, &f->rest);
        f->change.erased += lines - spool_block_lines(&f->rest);
        return status;
}

/* Where a block is. */
struct place {
        int64_t first;
        int64_t last;
        uint64_t lines;
};

/* As load_block, without its lines. */
static int look_at_block(struct spool_file *f, int64_t id, struct place *ret)
{
        int code;
        int r;

        sqlite3_bind_int64(f->look, 1, id);
        code = sqlite3_step(f->look);
        r = code == SQLITE_ROW;
        if (code == SQLITE_ROW)
                *ret = (struct place){sqlite3_column_int64(f->look, 0), sqlite3_column_int64(f->look, 1),
                                      (uint64_t)sqlite3_column_int64(f->look, 2) / SPOOL_ENTRY_BYTES};
        else if (code != SQLITE_DONE)
                r = -(int)spool_sql_fail(f, code);
        sqlite3_reset(f->look);
        return r;
}

/* Erases those of the @ids that are in the first block that may have any. Sets *ret_len to how many of the @ids are done with. */
static enum spool_status erase_from_block(struct spool_file *f, const int64_t *ids, size_t len,
                                          size_t *ret_len)
{
        struct place place = {0};
        int r = look_at_block(f, ids[0] - 1, &place);
        size_t before = 0;
        size_t end;

        *ret_len = len;
        if (r <= 0)
                return r == 0 ? SPOOL_OK : (enum spool_status) - r;
        while (before < len && ids[before] < place.first)
                before++;
        for (end = before; end < len && ids[end] <= place.last;)
                end++;
        *ret_len = end;
        if (end == before)
                return SPOOL_OK;
        if (end - before < place.lines)
                return erase_in_block(f, ids + before, end - before);
        f->change.erased += place.lines;
        return erase_block(f, place.last);
}

enum spool_status spool_file_erase(struct spool_file *f, const int64_t *ids, size_t len)
{
        enum spool_status status;
        size_t done = 0;
        size_t some;

        while (done < len && ids[done] <= f->old_last)
                done++;
        status = spool_old_erase(f, ids, done);
        for (; done < len && status == SPOOL_OK; done += some)
                status = erase_from_block(f, ids + done, len - done, &some);
        forget_block(f);
        return status;
}

static enum spool_status insert_damaged(struct spool_file *f, const struct spool_record *r)
{
        static const char sql[] =
                "INSERT INTO damaged (id, received, hash, peer, connection, line, text, receipt, "
                "client) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)";
        sqlite3_stmt *s = NULL;
        enum spool_status status = spool_sql_prepare(f, sql, &s);

        if (status != SPOOL_OK)
                return status;
        sqlite3_bind_int64(s, 1, r->id);
        sqlite3_bind_int64(s, 2, r->received_us);
        sqlite3_bind_text(s, 3, r->peer, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (int64_t)r->connection);
        sqlite3_bind_int64(s, 5, (int64_t)r->line);
        sqlite3_bind_blob64(s, 6, r->text.len > 0 ? r->text.ptr : "", r->text.len, SQLITE_STATIC);
        sqlite3_bind_int64(s, 7, (int64_t)r->receipt);
        sqlite3_bind_text(s, 8, r->client, -1, SQLITE_STATIC);
        status = spool_sql_step(f, s);
        sqlite3_finalize(s);
        return status;
}

static enum spool_status allow_bytes(struct spool_file *f, uint64_t bytes)
{
        char sql[64];

        snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu", spool_sql_pages(bytes));
        return spool_sql_execute(f, sql);
}

static enum spool_status move_damaged(struct spool_file *f, const struct spool_record *record)
{
        enum spool_status status = spool_sql_execute(f, "BEGIN IMMEDIATE");

        if (status == SPOOL_OK)
                status = insert_damaged(f, record); /* before the block is changed, in which its text lies */
        if (status == SPOOL_OK)
                status = spool_file_erase(f, &record->id, 1);
        if (status == SPOOL_OK)
                status = spool_sql_execute(f, "COMMIT");
        spool_file_roll_back(f);
        return status;
}

enum spool_status spool_file_keep_damaged(struct spool_file *f, const struct spool_record *record)
{
        enum spool_status status = allow_bytes(f, f->max_bytes + MOVE_BYTES);

        if (status == SPOOL_OK)
                status = move_damaged(f, record);
        allow_bytes(f, f->max_bytes);
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
