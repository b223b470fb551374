#ifndef SPOOL_SQL_H
#define SPOOL_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "spool/spool_file.h"

enum { SPOOL_SQL_VERSION = 2 }; /* of the file; 1 had no table "account" */

/* What the parts of the spool's file share: statements, and errors, which set f->error. */

enum spool_status spool_sql_fail(struct spool_file *f, int code);

/* The same while opening: of a file that can be read a plain error says that it has another schema than ours. */
enum spool_status spool_sql_fail_opening(struct spool_file *f, int code);

/* "@what: the text of errno". */
enum spool_status spool_sql_fail_errno(struct spool_file *f, const char *what);

enum spool_status spool_sql_execute(struct spool_file *f, const char *sql);

/* @ret: a sqlite3_stmt **. */
enum spool_status spool_sql_prepare(struct spool_file *f, const char *sql, void *ret);

/* Runs a statement that answers nothing. */
enum spool_status spool_sql_step(struct spool_file *f, sqlite3_stmt *statement);

/* Runs a query that answers one number. */
enum spool_status spool_sql_number(struct spool_file *f, const char *sql, int64_t *ret);

/* How large the file may grow; the write-ahead log comes on top. */
unsigned long long spool_sql_max_pages(const struct spool_file *f);

/* Writes f->tally to the account. */
enum spool_status spool_sql_account(struct spool_file *f, bool durable);

#endif
