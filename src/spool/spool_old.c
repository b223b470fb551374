#include "spool/spool_old.h"

#include <stdio.h>

#include <sqlite3.h>
#include <xxhash.h>

#include "spool/spool_sql.h"

static const char erase_sql[] = "DELETE FROM lines WHERE id BETWEEN ? AND ?";
/* Format 2, and those before. */
#define READ_SQL(rest)                                                                                       \
        "SELECT id, received, hash, peer, connection, line, text, " rest                                     \
        " FROM lines WHERE id > ? ORDER BY id LIMIT 1"
static const char *const read_sql[] = {READ_SQL("receipt, client"), READ_SQL("receipt, ''"),
                                       READ_SQL("0, ''")};

static enum spool_status add_column(struct spool_file *f, const char *name, const char *type)
{
        char sql[300];

        if (sqlite3_table_column_metadata(f->db, NULL, "lines", name, NULL, NULL, NULL, NULL, NULL) ==
            SQLITE_OK)
                return SPOOL_OK;
        snprintf(
                sql, sizeof(sql),
                "BEGIN IMMEDIATE; ALTER TABLE lines ADD COLUMN %s %s; ALTER TABLE damaged ADD COLUMN %s %s; COMMIT",
                name, type, name, type);
        return spool_sql_execute(f, sql);
}

/* Files of format 1 may lack receipts; their lines get number 0. */
enum spool_status spool_old_adopt(struct spool_file *f)
{
        enum spool_status status = add_column(f, "receipt", "INTEGER NOT NULL DEFAULT 0");

        return status == SPOOL_OK ? add_column(f, "client", "TEXT NOT NULL DEFAULT ''") : status;
}

enum spool_status spool_old_prepare_read(struct spool_file *f)
{
        enum spool_status status = SPOOL_FAILED;

        for (size_t i = 0; i < sizeof(read_sql) / sizeof(read_sql[0]) && status != SPOOL_OK; i++)
                status = spool_sql_prepare(f, read_sql[i], &f->read_old);
        return status;
}

enum spool_status spool_old_prepare_erase(struct spool_file *f)
{
        return spool_sql_prepare(f, erase_sql, &f->erase_old);
}

void spool_old_finalize(struct spool_file *f)
{
        sqlite3_finalize(f->read_old);
        sqlite3_finalize(f->erase_old);
        f->read_old = f->erase_old = NULL;
}

static bool is_whole(const struct spool_record *r, int64_t hash)
{
        uint64_t seed = (uint64_t)r->received_us ^ r->receipt;

        return spool_time_valid(r->received_us) &&
               (int64_t)XXH3_64bits_withSeed(r->text.ptr, r->text.len, seed) == hash;
}

static void read_row(struct spool_file *f, struct spool_record *ret)
{
        sqlite3_stmt *s = f->read_old;
        const char *peer = (const char *)sqlite3_column_text(s, 3);
        const char *client = (const char *)sqlite3_column_text(s, 8);
        const void *blob = sqlite3_column_blob(s, 6);

        *ret = (struct spool_record){
                .id = sqlite3_column_int64(s, 0),
                .place.row = sqlite3_column_int64(s, 0),
                .place.id = sqlite3_column_int64(s, 0),
                .received_us = sqlite3_column_int64(s, 1),
                .connection = (uint64_t)sqlite3_column_int64(s, 4),
                .line = (uint64_t)sqlite3_column_int64(s, 5),
                .receipt = (uint64_t)sqlite3_column_int64(s, 7),
        };
        snprintf(ret->peer, sizeof(ret->peer), "%s", peer ? peer : "?");
        snprintf(ret->client, sizeof(ret->client), "%s", client ? client : "");
        f->old_text.len = 0;
        buf_put(&f->old_text, blob ? blob : "", (size_t)sqlite3_column_bytes(s, 6));
        ret->text = (struct slice){f->old_text.data, f->old_text.len};
}

int spool_old_next(struct spool_file *f, int64_t row, struct spool_record *ret, bool *ret_whole)
{
        sqlite3_stmt *s = f->read_old;
        int code;
        int r = 1;

        sqlite3_bind_int64(s, 1, row);
        code = sqlite3_step(s);
        if (code == SQLITE_ROW) {
                read_row(f, ret);
                *ret_whole = is_whole(ret, sqlite3_column_int64(s, 2));
        } else {
                r = code == SQLITE_DONE ? 0 : -(int)spool_sql_fail(f, code);
        }
        sqlite3_reset(s);
        return r;
}

enum spool_status spool_old_erase(struct spool_file *f, const struct spool_place *places, size_t len)
{
        enum spool_status status = SPOOL_OK;
        size_t end;

        for (size_t i = 0; i < len && status == SPOOL_OK; i = end) {
                for (end = i + 1; end < len && places[end - 1].row == places[end].row - 1;)
                        end++;
                sqlite3_bind_int64(f->erase_old, 1, places[i].row);
                sqlite3_bind_int64(f->erase_old, 2, places[end - 1].row);
                status = spool_sql_step(f, f->erase_old);
                if (status == SPOOL_OK)
                        f->change.erased += (uint64_t)sqlite3_changes(f->db);
        }
        return status;
}
