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
        f->stepping = false;
}

/* The block from which lines were read may be changed. */
static void forget_block(struct spool_file *f)
{
        stop_reading(f);
        spool_block_clear(&f->block);
        f->loaded = false;
}

void spool_file_end_reading(struct spool_file *f)
{
        forget_block(f);
        f->reading = false;
        spool_file_roll_back(f);
}

static struct slice column(sqlite3_stmt *s, int i)
{
        const char *bytes = sqlite3_column_blob(s, i);

        return (struct slice){bytes, (size_t)sqlite3_column_bytes(s, i)};
}

/* Loads the block of the next row. Returns 1, 0 if there is none, or a negative enum spool_status. */
static int load_next(struct spool_file *f)
{
        int code = sqlite3_step(f->read);
        int r = code == SQLITE_ROW;

        f->stepping = f->loaded = r > 0;
        if (code == SQLITE_ROW) {
                f->read_at = sqlite3_column_int64(f->read, 0);
                spool_block_load(&f->block, f->read_at, column(f->read, 1), column(f->read, 2));
        } else if (code != SQLITE_DONE) {
                r = -(int)spool_sql_fail(f, code);
        }
        if (code != SQLITE_ROW || !f->reading)
                stop_reading(f);
        return r;
}

/* As load_next, for the first row whose key is at least @row. */
static int load_from(struct spool_file *f, int64_t row)
{
        stop_reading(f);
        sqlite3_bind_int64(f->read, 1, row);
        return load_next(f);
}

/* As load_next, for the first row after @row. */
static int load_after(struct spool_file *f, int64_t row)
{
        if (f->stepping && f->read_at == row)
                return load_next(f);
        return row < INT64_MAX ? load_from(f, row + 1) : 0;
}

/* Goes to the line after @place. Returns as load_next. */
static int seek_in_blocks(struct spool_file *f, struct spool_place place)
{
        int r = 1;

        if (!place.in_block)
                return load_from(f, INT64_MIN);
        if (f->loaded && f->block.last == place.row) {
                spool_block_seek_place(&f->block, &place);
                return 1;
        }
        r = load_from(f, place.row);
        if (r > 0 && f->block.last == place.row)
                spool_block_seek(&f->block, place.id);
        return r;
}

static int next_in_blocks(struct spool_file *f, struct spool_place place, struct spool_record *ret,
                          bool *ret_whole)
{
        int r = seek_in_blocks(f, place);

        while (r > 0 && !spool_block_next(&f->block, ret, ret_whole))
                r = load_after(f, f->block.last);
        return r;
}

int spool_file_next(struct spool_file *f, struct spool_place place, struct spool_record *ret, bool *ret_whole)
{
        int r = place.in_block ? 0 : spool_old_next(f, place.row, ret, ret_whole);

        return r == 0 && f->read ? next_in_blocks(f, place, ret, ret_whole) : r;
}

int spool_place_compare(const struct spool_place *a, const struct spool_place *b)
{
        if (a->in_block != b->in_block)
                return a->in_block - b->in_block;
        if (a->row != b->row)
                return (a->row > b->row) - (a->row < b->row);
        return (a->id > b->id) - (a->id < b->id);
}

int64_t spool_file_oldest(struct spool_file *f)
{
        int64_t received_us = 0;

        spool_sql_number(f,
                         "SELECT coalesce((SELECT received FROM lines ORDER BY id LIMIT 1), "
                         "(SELECT oldest FROM blocks ORDER BY last LIMIT 1), 0)",
                         &received_us);
        return spool_time_valid(received_us) ? received_us : 0;
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

/* After the changes of a transaction. A number out of range is damaged: the number before it is still right. */
static void note_lowest(struct spool_file *f)
{
        int64_t lowest;

        if (spool_sql_number(f, lowest_sql, &lowest) != SPOOL_OK)
                return;
        if (lowest == 0)
                f->tally.lowest = f->tally.last + 1;
        else if (lowest >= f->tally.lowest && lowest <= f->tally.last)
                f->tally.lowest = lowest;
}

/* Committed changes go to spool.account before they are reported. */
static enum spool_status note_change(struct spool_file *f)
{
        bool added = f->change.last > 0;

        if (added)
                f->tally.last = f->change.last;
        f->tally.erased += f->change.erased;
        f->tally.damaged += f->change.damaged;
        note_lowest(f);
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

/* A row that was read but cannot be erased would be read again without end. */
static enum spool_status check_erased(struct spool_file *f)
{
        if (sqlite3_changes(f->db) > 0)
                return SPOOL_OK;
        snprintf(f->error, sizeof(f->error), "a row of the file cannot be erased");
        return SPOOL_FAILED;
}

/* Replaces the block by f->rest, which has some of its lines. */
static enum spool_status put_rest(struct spool_file *f)
{
        enum spool_status status = erase_block(f, f->block.last);

        if (status == SPOOL_OK)
                status = check_erased(f);
        if (status == SPOOL_OK && spool_block_lines(&f->rest) > 0)
                status = insert_block(f, &f->rest);
        return status;
}

/* Replaces the block of @places by one without these lines. */
static enum spool_status erase_in_block(struct spool_file *f, const struct spool_place *places, size_t len)
{
        int r = load_from(f, places->row);
        size_t lines = spool_block_lines(&f->block);
        size_t left;

        if (r <= 0)
                return r == 0 ? SPOOL_OK : (enum spool_status) - r;
        spool_block_copy_without(&f->block, places, len, &f->rest);
        left = spool_block_lines(&f->rest);
        f->change.erased += lines - left;
        return left < lines ? put_rest(f) : SPOOL_OK;
}

/* Loads the entries of the block @row, without its texts. Returns 1, 0 if it is not there, or a negative enum spool_status. */
static int look_at_block(struct spool_file *f, int64_t row)
{
        int code;
        int r;

        f->loaded = false;
        sqlite3_bind_int64(f->look, 1, row);
        code = sqlite3_step(f->look);
        r = code == SQLITE_ROW;
        if (code == SQLITE_ROW)
                spool_block_load(&f->block, row, column(f->look, 0), (struct slice){"", 0});
        else if (code != SQLITE_DONE)
                r = -(int)spool_sql_fail(f, code);
        sqlite3_reset(f->look);
        return r;
}

/* Erases lines of one block: mostly all of them, for which the entries are enough. */
static enum spool_status erase_from_block(struct spool_file *f, const struct spool_place *places, size_t len)
{
        int r = look_at_block(f, places->row);

        if (r <= 0)
                return r == 0 ? SPOOL_OK : (enum spool_status) - r;
        if (!spool_block_within(&f->block, places, len))
                return erase_in_block(f, places, len);
        f->change.erased += spool_block_lines(&f->block);
        return erase_block(f, places->row);
}

enum spool_status spool_file_erase(struct spool_file *f, const struct spool_place *places, size_t len)
{
        enum spool_status status;
        size_t done = 0;
        size_t end;

        while (done < len && !places[done].in_block)
                done++;
        status = spool_old_erase(f, places, done);
        for (; done < len && status == SPOOL_OK; done = end) {
                for (end = done; end < len && spool_place_same_row(&places[end], &places[done]);)
                        end++;
                status = erase_from_block(f, places + done, end - done);
        }
        forget_block(f);
        return status;
}

/* --- damaged lines --- */

/* The line gets a number of its own: what the damaged one was is unknown. */
static enum spool_status insert_damaged(struct spool_file *f, sqlite3_stmt *s, const struct spool_record *r)
{
        sqlite3_bind_int64(s, 1, r->received_us);
        sqlite3_bind_text(s, 2, r->peer, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, (int64_t)r->connection);
        sqlite3_bind_int64(s, 4, (int64_t)r->line);
        sqlite3_bind_blob64(s, 5, r->text.len > 0 ? r->text.ptr : "", r->text.len, SQLITE_STATIC);
        sqlite3_bind_int64(s, 6, (int64_t)r->receipt);
        sqlite3_bind_text(s, 7, r->client, -1, SQLITE_STATIC);
        return spool_sql_step(f, s);
}

/* Moves the damaged lines of the loaded block aside. */
static enum spool_status move_from_block(struct spool_file *f, sqlite3_stmt *insert)
{
        enum spool_status status = SPOOL_OK;
        struct spool_record r;
        bool whole;

        spool_block_seek(&f->block, 0);
        while (status == SPOOL_OK && spool_block_next(&f->block, &r, &whole)) {
                if (!whole)
                        status = insert_damaged(f, insert, &r);
        }
        if (status != SPOOL_OK)
                return status;
        spool_block_copy_intact(&f->block, &f->rest);
        return put_rest(f);
}

static enum spool_status move_row(struct spool_file *f, sqlite3_stmt *insert,
                                  const struct spool_record *record)
{
        enum spool_status status;

        if (record->place.in_block)
                return move_from_block(f, insert);
        status = insert_damaged(f, insert, record);
        if (status == SPOOL_OK)
                status = spool_old_erase(f, &record->place, 1);
        return status == SPOOL_OK ? check_erased(f) : status;
}

static enum spool_status allow_bytes(struct spool_file *f, uint64_t bytes)
{
        char sql[64];

        snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu", spool_sql_pages(bytes));
        return spool_sql_execute(f, sql);
}

static enum spool_status move_damaged(struct spool_file *f, const struct spool_record *record)
{
        static const char sql[] =
                "INSERT INTO damaged (received, hash, peer, connection, line, text, receipt, client) "
                "VALUES (?, 0, ?, ?, ?, ?, ?, ?)";
        sqlite3_stmt *insert = NULL;
        enum spool_status status = spool_sql_prepare(f, sql, &insert);

        if (status == SPOOL_OK)
                status = spool_sql_execute(f, "BEGIN IMMEDIATE");
        if (status == SPOOL_OK)
                status = move_row(f, insert, record);
        if (status == SPOOL_OK)
                status = spool_sql_execute(f, "COMMIT");
        sqlite3_finalize(insert);
        spool_file_roll_back(f);
        return status;
}

static struct spool_damage count_damaged(struct spool_file *f, const struct spool_record *record)
{
        struct spool_damage damage = {0};
        struct spool_record r;
        bool whole;

        if (!record->place.in_block)
                return (struct spool_damage){1, record->text.len};
        spool_block_seek(&f->block, 0);
        while (spool_block_next(&f->block, &r, &whole)) {
                damage.lines += !whole;
                damage.bytes += whole ? 0 : r.text.len;
        }
        return damage;
}

enum spool_status spool_file_keep_damaged(struct spool_file *f, const struct spool_record *record,
                                          struct spool_damage *ret_damage)
{
        enum spool_status status;

        *ret_damage = count_damaged(f, record);
        stop_reading(f); /* but keep what was read: nobody else writes */
        f->reading = false;
        spool_file_roll_back(f);
        status = allow_bytes(f, f->max_bytes + MOVE_BYTES);
        if (status == SPOOL_OK)
                status = move_damaged(f, record);
        forget_block(f);
        allow_bytes(f, f->max_bytes);
        f->change = (struct spool_tally){.damaged = ret_damage->lines};
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
