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
#include "spool/spool_contents.h"
#include "spool/spool_old.h"
#include "spool/spool_reserve.h"
#include "spool/spool_sql.h"

enum {
        WAL_BYTES_MAX = 16 << 20, /* what remains of the write-ahead log between uses */
        BUSY_MS = 5000,           /* a reader's checkpoint may lock the file for a moment */
};

/* Of the tables "lines" (format 2: a row for each line) and "damaged". */
static const char columns_sql[] =
        "id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, hash INTEGER NOT NULL, "
        "peer TEXT NOT NULL, connection INTEGER NOT NULL, line INTEGER NOT NULL, text BLOB NOT NULL, "
        "receipt INTEGER NOT NULL DEFAULT 0, client TEXT NOT NULL DEFAULT ''";
static const char block_columns_sql[] =
        "last INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, bytes INTEGER NOT NULL, "
        "oldest INTEGER NOT NULL, newest INTEGER NOT NULL, entries BLOB NOT NULL, texts BLOB NOT NULL";
static const char insert_sql[] = "INSERT INTO blocks (last, first, bytes, oldest, newest, entries, texts) "
                                 "VALUES (?, ?, ?, ?, ?, ?, ?)";
static const char erase_sql[] = "DELETE FROM blocks WHERE last = ?";
static const char look_sql[] = "SELECT entries FROM blocks WHERE last = ?";
static const char read_sql[] = "SELECT last, entries, texts FROM blocks WHERE last >= ? ORDER BY last";

/* --- opening --- */

static void close_database(struct spool_file *f)
{
        sqlite3_finalize(f->insert);
        sqlite3_finalize(f->look);
        sqlite3_finalize(f->erase);
        sqlite3_finalize(f->read);
        spool_old_finalize(f);
        sqlite3_close(f->db);
        f->insert = f->look = f->erase = f->read = f->db = NULL;
}

/* For a new file, or one of an earlier version. Format 1 has no account, format 2 no blocks. */
static enum spool_status make_tables(struct spool_file *f, int64_t version)
{
        static const char account[] =
                "DELETE FROM account; "
                "INSERT INTO account SELECT random(), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence "
                "WHERE name = 'lines') - (SELECT count(*) FROM lines) - (SELECT count(*) FROM damaged); ";
        /* ids go on where the lines' ended */
        static const char numbering[] =
                "INSERT INTO sqlite_sequence SELECT 'blocks', seq FROM sqlite_sequence WHERE name = 'lines'; ";
        char sql[2400];
        int code;

        snprintf(sql, sizeof(sql),
                 "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS lines (%s); "
                 "CREATE TABLE IF NOT EXISTS damaged (%s); CREATE TABLE IF NOT EXISTS blocks (%s); "
                 "CREATE TABLE IF NOT EXISTS account (file INTEGER NOT NULL, erased INTEGER NOT NULL); "
                 "%s%sPRAGMA user_version = %d; COMMIT",
                 columns_sql, columns_sql, block_columns_sql, version < 2 ? account : "", numbering,
                 SPOOL_SQL_VERSION);
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
                 "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                 "PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = %d; "
                 "PRAGMA max_page_count = %llu",
                 WAL_BYTES_MAX, spool_sql_pages(f->max_bytes));
        code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);
        return code == SQLITE_OK ? SPOOL_OK : spool_sql_fail_opening(f, code);
}

/* Writes nothing to a file of the present version: there may be no space. */
static enum spool_status set_up(struct spool_file *f)
{
        enum spool_status status = set_modes(f);
        int64_t version = 0;

        if (status == SPOOL_OK)
                status = read_version(f, &version);
        if (version < SPOOL_SQL_VERSION && spool_contents_has(f, "blocks"))
                version = SPOOL_SQL_VERSION; /* the number is damaged */
        f->adopted = version == 1;
        if (status == SPOOL_OK && version > 0)
                status = spool_old_adopt(f);
        if (status == SPOOL_OK && version < SPOOL_SQL_VERSION)
                status = make_tables(f, version);
        if (status == SPOOL_OK)
                status = spool_sql_prepare(f, insert_sql, &f->insert);
        if (status == SPOOL_OK)
                status = spool_sql_prepare(f, look_sql, &f->look);
        if (status == SPOOL_OK)
                status = spool_sql_prepare(f, erase_sql, &f->erase);
        if (status == SPOOL_OK)
                status = spool_old_prepare_erase(f);
        return status;
}

/* Of a file of an earlier format, a reader has only lines. */
static enum spool_status prepare_read(struct spool_file *f)
{
        enum spool_status status = spool_old_prepare_read(f);

        f->reading = f->stepping = f->loaded = false;
        if (status == SPOOL_OK && spool_contents_has(f, "blocks"))
                status = spool_sql_prepare(f, read_sql, &f->read);
        return status;
}

/* --- the tally --- */

/* Compares the file with its tally. */
static void find_missing(struct spool_file *f, enum spool_account_status status,
                         const struct spool_tally *account)
{
        bool known = status == SPOOL_ACCOUNT_READ && !f->adopted;
        uint64_t lines = f->contents.lines;

        spool_tally_correct(&f->tally, known ? account : NULL, lines, f->highest);
        f->findings = (struct spool_findings){
                .lost = spool_tally_missing(known ? account : NULL, &f->tally, lines),
                .account_missed = status != SPOOL_ACCOUNT_READ && f->tally.last > 0 && !f->adopted};
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

/* Corrects the tally by the rows of the file: a line without a row counts as erased, and new lines get numbers above the keys
 * of all rows. Writes a correction of @in_file, the file's own tally, to the file; if that fails, spool.account still has it. */
static void settle_numbers(struct spool_file *f, const struct spool_tally *in_file)
{
        struct spool_tally *t = &f->tally;
        uint64_t present = f->contents.lines + t->damaged;
        char sql[300];

        t->last = f->highest > t->last ? f->highest : t->last;
        t->last = present > (uint64_t)t->last ? (int64_t)present : t->last;
        t->erased = (uint64_t)t->last - present;
        if (f->contents.lines == 0)
                t->lowest = t->last + 1;
        if (t->last == in_file->last && t->erased == in_file->erased)
                return;
        snprintf(sql, sizeof(sql),
                 "BEGIN IMMEDIATE; UPDATE account SET erased = %llu; "
                 "DELETE FROM sqlite_sequence WHERE name IN ('lines', 'blocks'); "
                 "INSERT INTO sqlite_sequence VALUES ('blocks', %lld); COMMIT",
                 (unsigned long long)t->erased, (long long)t->last);
        spool_sql_execute(f, sql);
        spool_file_roll_back(f);
}

/* Makes the tally match the file. Missing lines are reported once, and count as erased afterwards. */
static enum spool_status settle_account(struct spool_file *f)
{
        struct spool_tally in_file = f->tally;
        struct spool_tally account;
        enum spool_account_status read = spool_account_read(f->dir, &account);

        if (read == SPOOL_ACCOUNT_NEWER)
                return refuse_account(f, f->dir);
        find_missing(f, read, &account);
        settle_numbers(f, &in_file);
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
        return status == SPOOL_OK ? spool_contents_read(f) : status;
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
        enum spool_status status = spool_sql_number(
                f, "SELECT EXISTS (SELECT 1 FROM lines) OR EXISTS (SELECT 1 FROM blocks)", &lines);

        if (status != SPOOL_OK)
                return status;
        if (lines > 0) {
                snprintf(
                        f->error, sizeof(f->error),
                        "it was removed or renamed with acked lines in it (put it back: else they are stored only if the "
                        "database is available before the daemon stops)");
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
        f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
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
        spool_block_deinit(&f->adding);
        spool_block_deinit(&f->block);
        spool_block_deinit(&f->rest);
        buf_deinit(&f->old_text);
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

/* Closes the file and renames it. */
static enum spool_status move_aside(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES])
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
        return SPOOL_OK;
}

enum spool_status spool_file_set_aside(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES])
{
        enum spool_status status = move_aside(f, ret_aside);

        return status == SPOOL_OK ? open_to_write(f) : status;
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

/* Closes the file and removes it. */
static void remove_files(struct spool_file *f)
{
        static const char *const suffixes[] = {"", "-wal", "-shm"};
        char path[SPOOL_PATH_BYTES + 8];

        close_untouched(f);
        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
                snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
                unlink(path);
        }
}

enum spool_status spool_file_start_over(struct spool_file *f, bool has_damaged,
                                        char ret_aside[SPOOL_PATH_BYTES])
{
        enum spool_status status;

        has_damaged |= f->tally.damaged > 0;
        f->tally = (struct spool_tally){.lost = f->tally.lost, .lost_us = f->tally.lost_us};
        status = spool_sql_account(f, true); /* from here on the tally expects none of these lines */
        if (status != SPOOL_OK)
                return status;
        if (has_damaged)
                status = move_aside(f, ret_aside);
        else
                remove_files(f);
        return status == SPOOL_OK ? open_to_write(f) : status;
}
