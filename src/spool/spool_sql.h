#ifndef SPOOL_SQL_H
#define SPOOL_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "spool/spool_file.h"

enum { SPOOL_SQL_VERSION = 3 }; /* format of the file; 2 had no blocks, 1 no account */

/* Shared by the parts of the spool's file: statements, and errors, which set f->error. */

enum spool_status spool_sql_fail(struct spool_file *f, int code);

/* As spool_sql_fail, while opening: a generic error from a readable file means a foreign schema. */
enum spool_status spool_sql_fail_opening(struct spool_file *f, int code);

/* Sets the error "@what: text of errno". */
enum spool_status spool_sql_fail_errno(struct spool_file *f, const char *what);

enum spool_status spool_sql_execute(struct spool_file *f, const char *sql);

/* @ret: a sqlite3_stmt **. */
enum spool_status spool_sql_prepare(struct spool_file *f, const char *sql, void *ret);

/* Runs a statement that returns no rows. */
enum spool_status spool_sql_step(struct spool_file *f, sqlite3_stmt *statement);

/* Runs a query that returns one number. */
enum spool_status spool_sql_number(struct spool_file *f, const char *sql, int64_t *ret);

/* How many pages of the file @bytes are. */
unsigned long long spool_sql_pages(uint64_t bytes);

/* Writes f->tally to spool.account. */
enum spool_status spool_sql_account(struct spool_file *f, bool durable);

#endif
