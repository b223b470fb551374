#include "spool/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <xxhash.h>

enum {
        VERSION = 1,
        WAL_BYTES_MAX = 16 << 20, /* what is kept of the write-ahead log between its uses */
        BUSY_MS = 5000,           /* a reader's checkpoint may hold the file for a moment */
        PAGE_BYTES = 4096,        /* SQLite's default */
        MOVE_PAGES = 20000,       /* what moving a line may take: the longest has 64 MB */
};

static const char columns_sql[] =
        "id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, hash INTEGER NOT NULL, "
        "peer TEXT NOT NULL, connection INTEGER NOT NULL, line INTEGER NOT NULL, text BLOB NOT NULL, "
        "receipt INTEGER NOT NULL DEFAULT 0";
static const char insert_sql[] =
        "INSERT INTO lines (received, hash, peer, connection, line, text, receipt) VALUES (?, ?, ?, ?, ?, ?, ?)";
static const char erase_sql[] = "DELETE FROM lines WHERE id = ?";
static const char read_sql[] =
        "SELECT id, received, hash, peer, connection, line, text, receipt FROM lines WHERE id > ? ORDER BY id LIMIT 1";
static const char read_old_sql[] =
        "SELECT id, received, hash, peer, connection, line, text, 0 FROM lines WHERE id > ? ORDER BY id LIMIT 1";

/* --- errors --- */

static enum spool_status fail(struct spool_file *f, int code)
{
        snprintf(f->error, sizeof(f->error), "%s", f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(code));
        switch (code & 0xff) {
        case SQLITE_FULL:
                return SPOOL_FULL;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_MISMATCH:
                return SPOOL_DAMAGED;
        default:
                return SPOOL_FAILED;
        }
}

static enum spool_status fail_errno(struct spool_file *f, const char *what)
{
        snprintf(f->error, sizeof(f->error), "%.400s: %s", what, strerror(errno));
        return SPOOL_FAILED;
}

static enum spool_status execute(struct spool_file *f, const char *sql)
{
        int code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? SPOOL_OK : fail(f, code);
}

/* Of a file that can be read a plain error says that it has another schema than ours. */
static enum spool_status fail_opening(struct spool_file *f, int code)
{
        enum spool_status status = fail(f, code);

        return code == SQLITE_ERROR ? SPOOL_DAMAGED : status;
}

static enum spool_status prepare(struct spool_file *f, const char *sql, void *ret)
{
        int code = sqlite3_prepare_v2(f->db, sql, -1, ret, NULL);

        return code == SQLITE_OK ? SPOOL_OK : fail_opening(f, code);
}

/* Runs a statement that answers nothing. */
static enum spool_status step(struct spool_file *f, sqlite3_stmt *statement)
{
        int code = sqlite3_step(statement);
        enum spool_status status = code == SQLITE_DONE ? SPOOL_OK : fail(f, code);

        sqlite3_reset(statement);
        return status;
}

/* --- opening --- */

static void close_database(struct spool_file *f)
{
        sqlite3_finalize(f->insert);
        sqlite3_finalize(f->erase);
        sqlite3_finalize(f->read);
        sqlite3_close(f->db);
        f->insert = f->erase = f->read = f->db = NULL;
}

/* Files of earlier versions have no receipt; their lines get the number 0. */
static enum spool_status add_receipt(struct spool_file *f)
{
        static const char sql[] =
                "BEGIN IMMEDIATE; ALTER TABLE lines ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0; "
                "ALTER TABLE damaged ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0; COMMIT";

        if (sqlite3_table_column_metadata(f->db, NULL, "lines", "receipt", NULL, NULL, NULL, NULL, NULL) ==
            SQLITE_OK)
                return SPOOL_OK;
        return execute(f, sql);
}

/* Somebody who only looks may be shown a file of an earlier version. */
static enum spool_status prepare_read(struct spool_file *f)
{
        enum spool_status status = prepare(f, read_sql, &f->read);

        return status == SPOOL_OK ? status : prepare(f, read_old_sql, &f->read);
}

/* The write-ahead log comes on top of the limit. */
static unsigned long long max_pages(const struct spool_file *f)
{
        return f->max_bytes / PAGE_BYTES;
}

static enum spool_status set_up(struct spool_file *f)
{
        char sql[1200];
        enum spool_status status;
        int code;

        snprintf(sql, sizeof(sql),
                 "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                 "PRAGMA journal_size_limit = %d; PRAGMA max_page_count = %llu; "
                 "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS lines (%s); "
                 "CREATE TABLE IF NOT EXISTS damaged (%s); PRAGMA user_version = %d; COMMIT",
                 WAL_BYTES_MAX, max_pages(f), columns_sql, columns_sql, VERSION);
        code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
        status = code == SQLITE_OK ? SPOOL_OK : fail_opening(f, code);
        if (status == SPOOL_OK)
                status = add_receipt(f);
        if (status == SPOOL_OK)
                status = prepare(f, insert_sql, &f->insert);
        if (status == SPOOL_OK)
                status = prepare(f, erase_sql, &f->erase);
        return status;
}

/* Walks the whole tree, which shows whether it can be. */
static enum spool_status count_lines(struct spool_file *f)
{
        static const char sql[] =
                "SELECT count(*), coalesce(sum(length(text)), 0), coalesce(min(received), 0), "
                "coalesce(max(received), 0), (SELECT count(*) FROM damaged) FROM lines";
        sqlite3_stmt *statement = NULL;
        enum spool_status status = prepare(f, sql, &statement);
        int code;

        if (status != SPOOL_OK)
                return status;
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
                f->contents = (struct spool_contents){
                        .lines = (uint64_t)sqlite3_column_int64(statement, 0),
                        .bytes = (uint64_t)sqlite3_column_int64(statement, 1),
                        .oldest = sqlite3_column_int64(statement, 2),
                        .newest = sqlite3_column_int64(statement, 3),
                        .damaged = (uint64_t)sqlite3_column_int64(statement, 4),
                };
        else
                status = fail(f, code);
        sqlite3_finalize(statement);
        return status;
}

static enum spool_status open_database(struct spool_file *f, int flags)
{
        int code = sqlite3_open_v2(f->path, (sqlite3 **)&f->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
        enum spool_status status;

        if (code != SQLITE_OK)
                return fail(f, code);
        sqlite3_extended_result_codes(f->db, 1);
        sqlite3_busy_timeout(f->db, BUSY_MS);
        status = flags & SQLITE_OPEN_READWRITE ? set_up(f) : SPOOL_OK;
        if (status == SPOOL_OK)
                status = prepare_read(f);
        if (status == SPOOL_OK)
                status = count_lines(f);
        return status;
}

/* Closes a file that is no good, and leaves it as it is. */
static void close_untouched(struct spool_file *f)
{
        if (f->db)
                sqlite3_db_config(f->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        close_database(f);
}

/* SQLite would let everybody read the file; what it makes beside it has the same mode. */
static enum spool_status open_to_write(struct spool_file *f)
{
        enum spool_status status;
        int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

        if (fd < 0)
                return fail_errno(f, f->path);
        close(fd);
        status = open_database(f, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
        if (status != SPOOL_OK)
                close_untouched(f);
        return status;
}

enum spool_status spool_file_reopen(struct spool_file *f)
{
        return f->db ? SPOOL_OK : open_to_write(f);
}

/* One daemon at a time; the lock ends with the process. */
static enum spool_status lock(struct spool_file *f, const char *dir)
{
        char path[SPOOL_PATH_BYTES];

        snprintf(path, sizeof(path), "%.*s/spool.lock", PATH_MAX - 64, dir);
        f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        if (f->lock < 0)
                return fail_errno(f, path);
        if (flock(f->lock, LOCK_EX | LOCK_NB) == 0)
                return SPOOL_OK;
        snprintf(f->error, sizeof(f->error), "another daemon is using it");
        return SPOOL_FAILED;
}

enum spool_status spool_file_open(struct spool_file *f, const char *dir, uint64_t max_bytes,
                                  char ret_aside[SPOOL_PATH_BYTES])
{
        enum spool_status status;

        *f = (struct spool_file){.lock = -1, .max_bytes = max_bytes};
        ret_aside[0] = '\0';
        snprintf(f->path, sizeof(f->path), "%.*s/spool.db", PATH_MAX - 64, dir);
        if (mkdir(dir, 0750) != 0 && errno != EEXIST)
                return fail_errno(f, "the folder cannot be made");
        status = lock(f, dir);
        if (status == SPOOL_OK)
                status = open_to_write(f);
        if (status == SPOOL_DAMAGED)
                status = spool_file_set_aside(f, ret_aside);
        return status;
}

enum spool_status spool_file_open_read_only(struct spool_file *f, const char *path)
{
        *f = (struct spool_file){.lock = -1};
        snprintf(f->path, sizeof(f->path), "%s", path);
        return open_database(f, SQLITE_OPEN_READONLY);
}

void spool_file_close(struct spool_file *f)
{
        close_database(f);
        if (f->lock >= 0)
                close(f->lock);
        f->lock = -1;
}

static void rename_with(const char *from, const char *to, const char *suffix)
{
        char a[SPOOL_PATH_BYTES + 8];
        char b[SPOOL_PATH_BYTES + 8];

        snprintf(a, sizeof(a), "%s%s", from, suffix);
        snprintf(b, sizeof(b), "%s%s", to, suffix);
        rename(a, b);
}

enum spool_status spool_file_set_aside(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES])
{
        time_t now = time(NULL);
        char when[32];
        struct tm tm;
        struct stat st;

        close_untouched(f);
        gmtime_r(&now, &tm);
        strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
        for (int n = 0; n < 1000; n++) {
                snprintf(ret_aside, SPOOL_PATH_BYTES, "%.*s.damaged-%s-%d", PATH_MAX - 80, f->path, when, n);
                if (lstat(ret_aside, &st) != 0)
                        break;
        }
        if (rename(f->path, ret_aside) != 0) {
                ret_aside[0] = '\0';
                return fail_errno(f, "the damaged file cannot be renamed");
        }
        rename_with(f->path, ret_aside, "-wal");
        rename_with(f->path, ret_aside, "-shm");
        return open_to_write(f);
}

/* --- looking --- */

static int64_t hash_of(const struct spool_record *r)
{
        return (int64_t)XXH3_64bits_withSeed(r->text.ptr, r->text.len, (uint64_t)r->received_us ^ r->receipt);
}

int spool_file_next(struct spool_file *f, int64_t id, struct buf *text, struct spool_record *ret,
                    bool *ret_whole)
{
        sqlite3_stmt *s = f->read;
        const char *peer;
        const void *blob;
        int code;

        sqlite3_bind_int64(s, 1, id);
        code = sqlite3_step(s);
        if (code != SQLITE_ROW) {
                int r = code == SQLITE_DONE ? 0 : -(int)fail(f, code);

                sqlite3_reset(s);
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
        snprintf(ret->peer, sizeof(ret->peer), "%s", peer ? peer : "?");
        blob = sqlite3_column_blob(s, 6);
        text->len = 0;
        buf_put(text, blob ? blob : "", (size_t)sqlite3_column_bytes(s, 6));
        ret->text = (struct slice){text->data, text->len};
        *ret_whole = hash_of(ret) == sqlite3_column_int64(s, 2);
        sqlite3_reset(s);
        return 1;
}

int64_t spool_file_oldest(struct spool_file *f)
{
        sqlite3_stmt *s = f->read;
        int64_t received_us = 0;

        sqlite3_bind_int64(s, 1, 0);
        if (sqlite3_step(s) == SQLITE_ROW)
                received_us = sqlite3_column_int64(s, 1);
        sqlite3_reset(s);
        return received_us;
}

int spool_file_check(struct spool_file *f, void (*tell)(const char *fault))
{
        sqlite3_stmt *s = NULL;
        int faults = 0;
        int code;

        if (prepare(f, "PRAGMA integrity_check", &s) != SPOOL_OK)
                return -1;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                const char *fault = (const char *)sqlite3_column_text(s, 0);

                if (fault && strcmp(fault, "ok") != 0) {
                        tell(fault);
                        faults++;
                }
        }
        if (code != SQLITE_DONE)
                fail(f, code);
        sqlite3_finalize(s);
        return code == SQLITE_DONE ? faults : -1;
}

/* --- writing --- */

enum spool_status spool_file_begin(struct spool_file *f)
{
        return execute(f, "BEGIN IMMEDIATE");
}

enum spool_status spool_file_commit(struct spool_file *f)
{
        return execute(f, "COMMIT");
}

void spool_file_roll_back(struct spool_file *f)
{
        if (!sqlite3_get_autocommit(f->db)) /* some errors have done it already */
                sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
}

enum spool_status spool_file_add(struct spool_file *f, const struct spool_record *record)
{
        sqlite3_stmt *s = f->insert;

        sqlite3_bind_int64(s, 1, record->received_us);
        sqlite3_bind_int64(s, 2, hash_of(record));
        sqlite3_bind_text(s, 3, record->peer, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (int64_t)record->connection);
        sqlite3_bind_int64(s, 5, (int64_t)record->line);
        sqlite3_bind_blob64(s, 6, record->text.ptr, record->text.len, SQLITE_STATIC);
        sqlite3_bind_int64(s, 7, (int64_t)record->receipt);
        return step(f, s);
}

enum spool_status spool_file_erase(struct spool_file *f, int64_t id)
{
        sqlite3_bind_int64(f->erase, 1, id);
        return step(f, f->erase);
}

enum spool_status spool_file_keep_damaged(struct spool_file *f, int64_t id)
{
        char sql[400];
        enum spool_status status;

        /* the line is there already: it may take more than max_bytes to move it */
        snprintf(sql, sizeof(sql),
                 "PRAGMA max_page_count = %llu; BEGIN IMMEDIATE; "
                 "INSERT INTO damaged SELECT * FROM lines WHERE id = %lld; "
                 "DELETE FROM lines WHERE id = %lld; COMMIT",
                 max_pages(f) + MOVE_PAGES, (long long)id, (long long)id);
        status = execute(f, sql);
        spool_file_roll_back(f);
        snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu", max_pages(f));
        sqlite3_exec(f->db, sql, NULL, NULL, NULL);
        return status;
}

enum spool_status spool_file_test(struct spool_file *f)
{
        char sql[64];

        snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", VERSION);
        return execute(f, sql);
}

void spool_file_shrink(struct spool_file *f)
{
        execute(f, "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)");
}
