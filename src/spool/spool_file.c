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

#include "base/clock.h"
#include "spool/spool_account.h"
#include "spool/spool_reserve.h"
#include "spool/spool_sql.h"

enum {
        WAL_BYTES_MAX = 16 << 20, /* what remains of the write-ahead log between uses */
        BUSY_MS = 5000,           /* a reader's checkpoint may lock the file for a moment */
        PAGE_BYTES = 16 << 10,    /* of new files: a page costs about as much as twenty lines */
        CHECKPOINT_BYTES = 4 << 20,
};

static const char columns_sql[] =
        "id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, hash INTEGER NOT NULL, "
        "peer TEXT NOT NULL, connection INTEGER NOT NULL, line INTEGER NOT NULL, text BLOB NOT NULL, "
        "receipt INTEGER NOT NULL DEFAULT 0, client TEXT NOT NULL DEFAULT ''";
static const char insert_sql[] =
        "INSERT INTO lines (received, hash, peer, connection, line, text, receipt, client) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
static const char erase_sql[] = "DELETE FROM lines WHERE id BETWEEN ? AND ?";
/* The present format, and those of earlier versions. */
#define READ_SQL(rest)                                                                                       \
        "SELECT id, received, hash, peer, connection, line, text, " rest                                     \
        " FROM lines WHERE id > ? ORDER BY id"
static const char *const read_sql[] = {READ_SQL("receipt, client"), READ_SQL("receipt, ''"),
                                       READ_SQL("0, ''")};

/* --- opening --- */

static void close_database(struct spool_file *f)
{
        sqlite3_finalize(f->insert);
        sqlite3_finalize(f->erase);
        sqlite3_finalize(f->read);
        sqlite3_close(f->db);
        f->insert = f->erase = f->read = f->db = NULL;
}

/* Earlier versions know fewer columns. They can use the file again: they name columns, and the new ones have defaults. */
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
static enum spool_status add_columns(struct spool_file *f)
{
        enum spool_status status = add_column(f, "receipt", "INTEGER NOT NULL DEFAULT 0");

        return status == SPOOL_OK ? add_column(f, "client", "TEXT NOT NULL DEFAULT ''") : status;
}

/* A reader may open a file of an earlier format. */
static enum spool_status prepare_read(struct spool_file *f)
{
        enum spool_status status = SPOOL_FAILED;

        f->reading = false;
        f->read_at = -1;
        for (size_t i = 0; i < sizeof(read_sql) / sizeof(read_sql[0]) && status != SPOOL_OK; i++)
                status = spool_sql_prepare(f, read_sql[i], &f->read);
        return status;
}

/* For a new file, or one of an earlier version. */
static enum spool_status make_tables(struct spool_file *f)
{
        char sql[1600];
        int code;

        snprintf(sql, sizeof(sql),
                 "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS lines (%s); "
                 "CREATE TABLE IF NOT EXISTS damaged (%s); "
                 "CREATE TABLE IF NOT EXISTS account (file INTEGER NOT NULL, erased INTEGER NOT NULL); "
                 "DELETE FROM account; "
                 "INSERT INTO account SELECT random(), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence "
                 "WHERE name = 'lines') - (SELECT count(*) FROM lines) - (SELECT count(*) FROM damaged); "
                 "PRAGMA user_version = %d; COMMIT",
                 columns_sql, columns_sql, SPOOL_SQL_VERSION);
        code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
        return code == SQLITE_OK ? SPOOL_OK : spool_sql_fail_opening(f, code);
}

/* A file of a later version is left alone. */
static enum spool_status read_version(struct spool_file *f, int64_t *ret)
{
        enum spool_status status = spool_sql_number(f, "PRAGMA user_version", ret);

        if (status != SPOOL_OK || *ret <= SPOOL_SQL_VERSION)
                return status;
        snprintf(f->error, sizeof(f->error),
                 "%.400s has format %lld, this version knows %d (use the newer boris-ingestd)", f->path,
                 (long long)*ret, SPOOL_SQL_VERSION);
        return SPOOL_FAILED;
}

/* secure_delete, which Debian turns on, writes each erased page twice. */
static enum spool_status set_modes(struct spool_file *f)
{
        char sql[400];
        int code;

        snprintf(sql, sizeof(sql),
                 "PRAGMA page_size = %d; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; "
                 "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY; "
                 "PRAGMA journal_size_limit = %d",
                 PAGE_BYTES, WAL_BYTES_MAX);
        code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
        return code == SQLITE_OK ? SPOOL_OK : spool_sql_fail_opening(f, code);
}

/* A file keeps the size of its pages. */
static enum spool_status set_limits(struct spool_file *f)
{
        char sql[200];
        int64_t page_bytes;
        enum spool_status status = spool_sql_number(f, "PRAGMA page_size", &page_bytes);

        if (status != SPOOL_OK)
                return status;
        f->page_bytes = (unsigned)page_bytes;
        snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu; PRAGMA wal_autocheckpoint = %u",
                 spool_sql_pages(f, f->max_bytes), CHECKPOINT_BYTES / f->page_bytes);
        return spool_sql_execute(f, sql);
}

/* Writes nothing to a file of the present version: there may be no space. */
static enum spool_status set_up(struct spool_file *f)
{
        enum spool_status status = set_modes(f);
        int64_t version = 0;

        if (status == SPOOL_OK)
                status = set_limits(f);
        if (status == SPOOL_OK)
                status = read_version(f, &version);
        f->adopted = version > 0 && version < SPOOL_SQL_VERSION;
        if (status == SPOOL_OK && version > 0)
                status = add_columns(f);
        if (status == SPOOL_OK && version < SPOOL_SQL_VERSION)
                status = make_tables(f);
        if (status == SPOOL_OK)
                status = spool_sql_prepare(f, insert_sql, &f->insert);
        if (status == SPOOL_OK)
                status = spool_sql_prepare(f, erase_sql, &f->erase);
        return status;
}

/* Walks the whole tree, which tests that it is readable. A single statement, since a daemon may be using the
 * file. */
static enum spool_status count_lines(struct spool_file *f, bool with_account)
{
        static const char sql[] =
                "SELECT count(*), coalesce(sum(length(text)), 0), coalesce(min(received), 0), "
                "coalesce(max(received), 0), coalesce(min(id), 0), (SELECT count(*) FROM damaged), "
                "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'lines'), %s FROM lines";
        char text[sizeof(sql) + 80];
        sqlite3_stmt *s = NULL;
        enum spool_status status;
        int code;

        snprintf(text, sizeof(text), sql,
                 with_account ? "(SELECT file FROM account), (SELECT erased FROM account)" : "0, 0");
        status = spool_sql_prepare(f, text, &s);
        if (status != SPOOL_OK)
                return status;
        code = sqlite3_step(s);
        if (code == SQLITE_ROW) {
                int64_t lowest = sqlite3_column_int64(s, 4);

                f->contents = (struct spool_contents){
                        .lines = (uint64_t)sqlite3_column_int64(s, 0),
                        .bytes = (uint64_t)sqlite3_column_int64(s, 1),
                        .oldest = sqlite3_column_int64(s, 2),
                        .newest = sqlite3_column_int64(s, 3),
                        .damaged = (uint64_t)sqlite3_column_int64(s, 5),
                };
                f->tally = (struct spool_tally){
                        .file = (uint64_t)sqlite3_column_int64(s, 7),
                        .last = sqlite3_column_int64(s, 6),
                        .erased = (uint64_t)sqlite3_column_int64(s, 8),
                        .damaged = f->contents.damaged,
                        .lowest = lowest > 0 ? lowest : sqlite3_column_int64(s, 6) + 1,
                };
        } else {
                status = spool_sql_fail(f, code);
        }
        sqlite3_finalize(s);
        return status;
}

/* --- the account --- */

/* Compares the file with its account. */
static void find_missing(struct spool_file *f, enum spool_account_status status,
                         const struct spool_tally *account)
{
        bool known = status == SPOOL_ACCOUNT_READ && !f->adopted;
        uint64_t lost = spool_tally_missing(known ? account : NULL, &f->tally, f->contents.lines);

        f->findings = (struct spool_findings){.lost = lost,
                                              .account_missed = status != SPOOL_ACCOUNT_READ &&
                                                                f->tally.last > 0 && !f->adopted};
        f->tally.lost = account->lost;
        f->tally.lost_us = account->lost_us;
}

static enum spool_status refuse_account(struct spool_file *f, const char *dir)
{
        snprintf(
                f->error, sizeof(f->error),
                "%.400s/spool.account has a format that this version does not know (use the newer boris-ingestd)",
                dir);
        return SPOOL_FAILED;
}

/* Makes the account match the file. Missing lines are reported once, and count as erased afterwards. */
static enum spool_status settle_account(struct spool_file *f)
{
        struct spool_tally account;
        enum spool_account_status read = spool_account_read(f->dir, &account);
        uint64_t inside = spool_tally_missing(NULL, &f->tally, f->contents.lines);
        char sql[100];

        if (read == SPOOL_ACCOUNT_NEWER)
                return refuse_account(f, f->dir);
        find_missing(f, read, &account);
        if (inside > 0) {
                snprintf(sql, sizeof(sql), "UPDATE account SET erased = erased + %llu",
                         (unsigned long long)inside);
                if (spool_sql_execute(f, sql) == SPOOL_OK)
                        f->tally.erased += inside;
        }
        if (f->findings.lost > 0) {
                f->tally.lost += f->findings.lost;
                f->tally.lost_us = clock_now_us();
        }
        return spool_sql_account(f, true);
}

/* --- files --- */

static enum spool_status open_database(struct spool_file *f, int flags)
{
        int code = sqlite3_open_v2(f->path, (sqlite3 **)&f->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
        enum spool_status status;
        int64_t has_account;
        int64_t version = 0;

        if (code != SQLITE_OK)
                return spool_sql_fail(f, code);
        sqlite3_extended_result_codes(f->db, 1);
        sqlite3_busy_timeout(f->db, BUSY_MS);
        if (flags & SQLITE_OPEN_READWRITE)
                status = set_up(f);
        else /* of a damaged file what can be read is */
                status = read_version(f, &version) != SPOOL_OK && version > SPOOL_SQL_VERSION ? SPOOL_FAILED
                                                                                              : SPOOL_OK;
        if (status == SPOOL_OK)
                status = prepare_read(f);
        if (status == SPOOL_OK)
                status = spool_sql_number(f, "SELECT count(*) FROM sqlite_master WHERE name = 'account'",
                                          &has_account);
        if (status == SPOOL_OK)
                status = count_lines(f, has_account > 0);
        return status;
}

/* Closes an unusable file without changing it. */
static void close_untouched(struct spool_file *f)
{
        if (f->db)
                sqlite3_db_config(f->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        close_database(f);
}

static void make_wal_path(const struct spool_file *f, char ret[SPOOL_PATH_BYTES + 8])
{
        snprintf(ret, SPOOL_PATH_BYTES + 8, "%s-wal", f->path);
}

/* 0: there is no such file. */
static ino_t inode_of(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void note_place(struct spool_file *f)
{
        char wal[SPOOL_PATH_BYTES + 8];

        make_wal_path(f, wal);
        f->inode = inode_of(f->path);
        f->wal_inode = inode_of(wal);
}

bool spool_file_in_place(const struct spool_file *f)
{
        char wal[SPOOL_PATH_BYTES + 8];

        make_wal_path(f, wal);
        return inode_of(f->path) == f->inode && (f->wal_inode == 0 || inode_of(wal) == f->wal_inode);
}

/* SQLite would make the file readable by everybody; its additional files get the same mode. */
static enum spool_status try_to_open(struct spool_file *f)
{
        enum spool_status status;
        int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

        if (fd < 0)
                return spool_sql_fail_errno(f, f->path);
        close(fd);
        status = open_database(f, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
        if (status == SPOOL_OK)
                status = settle_account(f);
        if (status == SPOOL_OK)
                note_place(f);
        else
                close_untouched(f);
        return status;
}

static enum spool_status open_to_write(struct spool_file *f)
{
        enum spool_status status = try_to_open(f);

        if (status == SPOOL_FULL && spool_reserve_give_up(f->dir))
                status = try_to_open(f);
        return status;
}

enum spool_status spool_file_reopen(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES])
{
        if (f->db)
                return SPOOL_OK;
        return f->lock < 0 ? spool_file_open(f, f->dir, f->max_bytes, ret_aside) : open_to_write(f);
}

enum spool_status spool_file_move(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES])
{
        int64_t lines = 0;
        enum spool_status status = spool_sql_number(f, "SELECT EXISTS (SELECT 1 FROM lines)", &lines);

        if (status != SPOOL_OK)
                return status;
        if (lines > 0) {
                snprintf(
                        f->error, sizeof(f->error),
                        "it was removed or renamed, with acked lines in it (put it back; otherwise they are stored when the "
                        "database is available, if the daemon runs until then)");
                return SPOOL_FAILED;
        }
        spool_file_close(f);
        return spool_file_reopen(f, ret_aside);
}

/* Allows only one daemon at a time; the lock ends with the process. */
static enum spool_status lock(struct spool_file *f, const char *dir)
{
        char path[SPOOL_PATH_BYTES];

        snprintf(path, sizeof(path), "%.*s/spool.lock", PATH_MAX - 64, dir);
        f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        if (f->lock < 0)
                return spool_sql_fail_errno(f, path);
        if (flock(f->lock, LOCK_EX | LOCK_NB) == 0)
                return SPOOL_OK;
        close(f->lock);
        f->lock = -1;
        snprintf(f->error, sizeof(f->error), "another daemon is using it");
        return SPOOL_FAILED;
}

static enum spool_status open_account(struct spool_file *f)
{
        int err = spool_account_open(&f->account, f->dir);

        if (err == -ENOSPC && spool_reserve_give_up(f->dir))
                err = spool_account_open(&f->account, f->dir);
        errno = -err;
        return err ? spool_sql_fail_errno(f, "spool.account") : SPOOL_OK;
}

/* True for a write-ahead log whose database is missing or empty: SQLite would delete the log. */
static bool lost_its_database(const struct spool_file *f)
{
        char wal[SPOOL_PATH_BYTES + 8];
        struct stat st;

        make_wal_path(f, wal);
        if (stat(wal, &st) != 0 || st.st_size == 0)
                return false;
        return stat(f->path, &st) != 0 || st.st_size == 0;
}

/* An empty file of an earlier version is replaced by one with larger pages. */
static enum spool_status renew(struct spool_file *f)
{
        bool empty = f->contents.lines == 0 && f->contents.damaged == 0;
        bool as_expected = f->findings.lost == 0 && !f->findings.account_missed;

        if (f->page_bytes == PAGE_BYTES || !empty || !as_expected || spool_disk_full(f->dir))
                return SPOOL_OK;
        return spool_file_start_over(f);
}

enum spool_status spool_file_open(struct spool_file *f, const char *dir, uint64_t max_bytes,
                                  char ret_aside[SPOOL_PATH_BYTES])
{
        enum spool_status status;

        *f = (struct spool_file){.lock = -1, .account.fd = -1, .max_bytes = max_bytes, .dir = dir};
        ret_aside[0] = '\0';
        snprintf(f->path, sizeof(f->path), "%.*s/spool.db", PATH_MAX - 64, dir);
        if (mkdir(dir, 0750) != 0 && errno != EEXIST)
                return spool_sql_fail_errno(f, "the directory cannot be created");
        status = lock(f, dir);
        if (status == SPOOL_OK)
                status = open_account(f);
        if (status == SPOOL_OK)
                status = lost_its_database(f) ? SPOOL_DAMAGED : open_to_write(f);
        if (status == SPOOL_DAMAGED)
                status = spool_file_set_aside(f, ret_aside);
        if (status == SPOOL_OK)
                status = renew(f);
        if (status == SPOOL_OK)
                spool_file_secure(f);
        return status;
}

enum spool_status spool_file_open_read_only(struct spool_file *f, const char *path, const char *dir)
{
        enum spool_account_status read = SPOOL_ACCOUNT_MISSING;
        struct spool_tally account = {0}; /* read first: lines that only the file has are then no fault */
        enum spool_status status;

        *f = (struct spool_file){.lock = -1, .account.fd = -1};
        snprintf(f->path, sizeof(f->path), "%s", path);
        if (dir)
                read = spool_account_read(dir, &account);
        if (read == SPOOL_ACCOUNT_NEWER)
                return refuse_account(f, dir);
        status = open_database(f, SQLITE_OPEN_READONLY);
        if (status == SPOOL_OK && dir)
                find_missing(f, read, &account);
        return status;
}

void spool_file_close(struct spool_file *f)
{
        close_database(f);
        spool_account_close(&f->account);
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
        if (rename(f->path, ret_aside) != 0 && errno != ENOENT) {
                ret_aside[0] = '\0';
                return spool_sql_fail_errno(f, "the damaged file cannot be renamed");
        }
        rename_with(f->path, ret_aside, "-wal");
        rename_with(f->path, ret_aside, "-shm");
        return open_to_write(f);
}

/* --- a full disk --- */

/* Checkpointing the write-ahead log may make the database grow by the same size, so the reserve is released
 * first. */
void spool_file_make_room(struct spool_file *f)
{
        spool_reserve_give_up(f->dir);
        spool_sql_execute(f, "PRAGMA wal_checkpoint(TRUNCATE)");
}

void spool_file_secure(struct spool_file *f)
{
        spool_reserve_make(f->dir);
}

enum spool_status spool_file_start_over(struct spool_file *f)
{
        static const char *const suffixes[] = {"", "-wal", "-shm"};
        char path[SPOOL_PATH_BYTES + 8];
        enum spool_status status;

        f->tally = (struct spool_tally){.lost = f->tally.lost, .lost_us = f->tally.lost_us};
        status = spool_sql_account(f, true); /* from here on the account expects none of these lines */
        if (status != SPOOL_OK)
                return status;
        close_untouched(f);
        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
                snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
                unlink(path);
        }
        return open_to_write(f);
}
