#include "spool/spool_sql.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "spool/spool_account.h"
#include "spool/spool_reserve.h"

/* --- errors --- */

/* On a full disk, whatever creates or extends a file fails, not only writing. */
enum spool_status spool_sql_fail(struct spool_file *f, int code)
{
        snprintf(f->error, sizeof(f->error), "%s", f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(code));
        switch (code & 0xff) {
        case SQLITE_FULL:
                return SPOOL_FULL;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
                return f->dir && spool_disk_full(f->dir) ? SPOOL_FULL : SPOOL_FAILED;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_MISMATCH:
                return SPOOL_DAMAGED;
        default:
                return SPOOL_FAILED;
        }
}

enum spool_status spool_sql_fail_errno(struct spool_file *f, const char *what)
{
        bool full = errno == ENOSPC || errno == EDQUOT;

        snprintf(f->error, sizeof(f->error), "%.400s: %s", what, strerror(errno));
        return full ? SPOOL_FULL : SPOOL_FAILED;
}

enum spool_status spool_sql_execute(struct spool_file *f, const char *sql)
{
        int code = sqlite3_exec(f->db, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? SPOOL_OK : spool_sql_fail(f, code);
}

/* A generic error from a readable file means a foreign schema. */
enum spool_status spool_sql_fail_opening(struct spool_file *f, int code)
{
        enum spool_status status = spool_sql_fail(f, code);

        return code == SQLITE_ERROR ? SPOOL_DAMAGED : status;
}

enum spool_status spool_sql_prepare(struct spool_file *f, const char *sql, void *ret)
{
        int code = sqlite3_prepare_v2(f->db, sql, -1, ret, NULL);

        return code == SQLITE_OK ? SPOOL_OK : spool_sql_fail_opening(f, code);
}

/* Runs a statement that returns no rows. */
enum spool_status spool_sql_step(struct spool_file *f, sqlite3_stmt *statement)
{
        int code = sqlite3_step(statement);
        enum spool_status status = code == SQLITE_DONE ? SPOOL_OK : spool_sql_fail(f, code);

        sqlite3_reset(statement);
        return status;
}

enum spool_status spool_sql_number(struct spool_file *f, const char *sql, int64_t *ret)
{
        sqlite3_stmt *statement = NULL;
        enum spool_status status = spool_sql_prepare(f, sql, &statement);
        int code;

        *ret = 0;
        if (status != SPOOL_OK)
                return status;
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
                *ret = sqlite3_column_int64(statement, 0);
        else
                status = spool_sql_fail(f, code);
        sqlite3_finalize(statement);
        return status;
}

enum spool_status spool_sql_account(struct spool_file *f, bool durable)
{
        int err = spool_account_write(&f->account, &f->tally, durable);

        if (!err)
                return SPOOL_OK;
        errno = -err;
        return spool_sql_fail_errno(f, "spool.account");
}

unsigned long long spool_sql_pages(uint64_t bytes)
{
        enum { PAGE_BYTES = 4096 }; /* SQLite's default */

        return bytes / PAGE_BYTES;
}
