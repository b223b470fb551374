#ifndef MODEL_DB_H
#define MODEL_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"

/* A synchronous database connection, and what model/ needs of libpq. The daemon's own connections never
 * block: they are struct pg_conn. */

struct pg_result; /* libpq's PGresult */

enum {
        DB_ERROR_BYTES = 1024,
        DB_PARAMS_MAX = 13,
};

struct db {
        void *pg;         /* PGconn */
        bool pooled;      /* through a pooler that moves sessions (pooler.h): the session is not set up */
        char sqlstate[6]; /* of the last failure; "" if the database returned none */
        /* of the last failure: one line without line feed; never contains a password or a value */
        char error[DB_ERROR_BYTES];
};

/* True if libpq can parse @url. libpq's own message about a malformed URL quotes it, password included, so
 * report DB_BAD_URL instead. */
bool db_url_valid(const char *url);

#define DB_BAD_URL                                                                                            \
        "database.url is not a valid libpq conninfo or URL: in a URL, special characters of a value must be " \
        "percent-encoded ('@' as %40), and it must not be in quotes"

/* The end of a probe (ad_object_probe_sql, ad_account_probe_sql), after the statement for one candidate: a
 * failed candidate is followed by the next one; if all fail, so does the probe, with the last failure.
 * Everything is rolled back. */
#define DB_PROBE_END                                                                                         \
        "EXCEPTION WHEN OTHERS THEN error := SQLSTATE; message := SQLERRM; END; END LOOP; "                  \
        "IF error IS NOT NULL THEN RAISE EXCEPTION '%', message USING ERRCODE = error; END IF; "             \
        "END $probe$; BEGIN; ROLLBACK"

/* The beginning of a probe: short timeouts. */
#define DB_PROBE_LOCKS "SET LOCAL lock_timeout = '100ms'; "

#define DB_CHANGES     "the database changes what it stores"

/* For a probe by ad_account_upsert_sql or ad_object_upsert_sql: its variables, and how to read the answer. */
#define DB_PROBE_VARS                                                                                        \
        "given text := gen_random_uuid(); n int; outcome int; "                                              \
        "error text := '02000'; message text := 'there is nothing to write an ordinary row for'; "
#define DB_PROBE_OUTCOME                                                                                     \
        "IF outcome = 2 THEN RAISE EXCEPTION 'a trigger skipped the row' USING ERRCODE = '02000'; END IF; "  \
        "IF outcome IS DISTINCT FROM 1 THEN RAISE EXCEPTION '" DB_CHANGES                                    \
        "' USING ERRCODE = '39P01'; END IF; "

/* The outcome of a row given to ad_account_upsert_sql or ad_object_upsert_sql, an int4 of the answer. */
enum db_write {
        DB_WRITE_NONE, /* already stored as given */
        DB_WRITE_DONE, /* written as given */
        /* not written: a trigger returned NULL, or another transaction just wrote the same */
        DB_WRITE_SKIPPED,
        DB_WRITE_CHANGED, /* written, but changed by a trigger or a column's type */
};

/* The expression for enum db_write, of a given row "g" and the row "w" written under the same key; @differ:
 * expression that is true if they differ. */
#define DB_WRITE_SQL(differ)                                                                                 \
        "CASE WHEN g.n IS NULL THEN 3 WHEN NOT g.differs THEN 0 WHEN w.external_id IS NULL THEN 2 "          \
        "WHEN " differ " THEN 3 ELSE 1 END"

/* Connects to @url (libpq conninfo or URL, "" for libpq's defaults) with client encoding UTF8, and sets up
 * the session (session.h). Returns 0 or ERR_DB. The caller closes @db in either case. */
int db_open(struct db *db, const char *url);

void db_close(struct db *db);

/* Breaks the connection if the server does not acknowledge sent data for @ms. TCP only. */
void db_limit_silence(struct db *db, unsigned ms);

/* Parameters of one statement. Zero it before adding the first; borrows texts; must not be copied. */
struct db_params {
        int len;
        unsigned types[DB_PARAMS_MAX]; /* Oid */
        const char *values[DB_PARAMS_MAX];
        int lengths[DB_PARAMS_MAX];
        int formats[DB_PARAMS_MAX];
        char fixed[DB_PARAMS_MAX][16];
};

/* Each function adds the next parameter; NULL, or a slice whose ptr is NULL, becomes SQL's NULL. Times are
 * microseconds since the Unix epoch. A text has SQL type text: cast it in the statement if necessary. */
void db_param_uuid(struct db_params *p, const struct uuid *uuid);
void db_param_i64(struct db_params *p, const int64_t *value);
void db_param_time(struct db_params *p, const int64_t *unix_us);
void db_param_text(struct db_params *p, struct slice text);

/* Runs one or more statements without parameters, all in one transaction unless they say otherwise. Errors,
 * here and below: ERR_EXISTS for a unique violation, ERR_INVALID for a value or row that the database
 * refuses, ERR_DB for anything else; the reason is in @db. */
int db_run(struct db *db, const char *sql);

/* Runs one statement; @params may be NULL. On success the caller frees *ret with db_result_free. */
int db_query(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret);

/* As db_query, for a statement that returns at most one row: ERR_NOT_FOUND if it returns none. */
int db_query_row(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret);

/* As db_query_row, for a statement that returns one boolean. */
int db_query_bool(struct db *db, const char *sql, const struct db_params *params, bool *ret);

/* Sets the error text, for a failure that the database did not report; returns @err. */
int db_fail(struct db *db, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void db_result_free(struct pg_result *res);

int db_rows(const struct pg_result *res);
bool db_null(const struct pg_result *res, int row, int column);

/* Values of types bool, int8, timestamptz and uuid; must not be NULL. */
bool db_bool(const struct pg_result *res, int row, int column);
int64_t db_i64(const struct pg_result *res, int row, int column);
int64_t db_time(const struct pg_result *res, int row, int column);
struct uuid db_uuid(const struct pg_result *res, int row, int column);

/* A text, name or enum value, NUL-terminated; empty if it is NULL. Points into @res. */
struct slice db_text(const struct pg_result *res, int row, int column);

/* Returns a copy on the heap, NULL for NULL. Aborts if memory runs out. */
char *db_text_dup(const struct pg_result *res, int row, int column);

#endif
