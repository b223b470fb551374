#ifndef MODEL_DB_H
#define MODEL_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"

/* A synchronous connection and what the files of model/ need of libpq. The daemon's own connections never
 * block: they are pg_conn's. */

struct pg_result; /* libpq's PGresult */

enum {
        DB_ERROR_BYTES = 1024,
        DB_PARAMS_MAX = 13,
};

struct db {
        void *pg;                   /* PGconn */
        bool pooled;                /* by a pooler that moves sessions (pooler.h): nothing is set up then */
        char sqlstate[6];           /* of the last failure; "" where the database gave none */
        char error[DB_ERROR_BYTES]; /* of the last failure: one line without its end, never a password or a
                                       value */
};

/* Whether @url can be given to libpq. What libpq says of one that it cannot read quotes it, password and all,
 * so that must be told in words of one's own (DB_BAD_URL). */
bool db_url_valid(const char *url);

#define DB_BAD_URL                                                                                           \
        "database.url is no valid libpq conninfo or URL: in a URL, special characters of a value must be "   \
        "percent-encoded ('@' as %40), and no quotes may stand around it"

/* The end of a probe (ad_object_probe_sql, ad_account_probe_sql), after a statement for
 * one candidate: on to the next one where it failed, and with the last failure where all did. All is rolled
 * back. */
#define DB_PROBE_END                                                                                         \
        "EXCEPTION WHEN OTHERS THEN error := SQLSTATE; message := SQLERRM; END; END LOOP; "                  \
        "IF error IS NOT NULL THEN RAISE EXCEPTION '%', message USING ERRCODE = error; END IF; "             \
        "END $probe$; BEGIN; ROLLBACK"

/* The beginning of a probe: it is to find out soon. */
#define DB_PROBE_LOCKS "SET LOCAL lock_timeout = '100ms'; "

#define DB_CHANGES     "the database changes what it stores"

/* Of a probe by ad_account_upsert_sql or ad_object_upsert_sql: its variables, and what is to be said of the answer. */
#define DB_PROBE_VARS                                                                                        \
        "given text := gen_random_uuid(); n int; outcome int; "                                              \
        "error text := '02000'; message text := 'there is nothing to write an ordinary row for'; "
#define DB_PROBE_OUTCOME                                                                                     \
        "IF outcome = 2 THEN RAISE EXCEPTION 'a trigger skipped the row' USING ERRCODE = '02000'; END IF; "  \
        "IF outcome IS DISTINCT FROM 1 THEN RAISE EXCEPTION '" DB_CHANGES                                    \
        "' USING ERRCODE = '39P01'; END IF; "

/* What became of a row that ad_account_upsert_sql or ad_object_upsert_sql was given, an int4 of the answer. */
enum db_write {
        DB_WRITE_NONE,    /* it is there as given */
        DB_WRITE_DONE,    /* written as given */
        DB_WRITE_SKIPPED, /* not written: a trigger returned NULL, or somebody just wrote the same */
        DB_WRITE_CHANGED, /* written, but not as given: a trigger or a column's type changed it */
};

/* The expression for it, of a row "g" that was given and the row "w" of the same key that was written; @differ tells
 * whether the two differ. */
#define DB_WRITE_SQL(differ)                                                                                 \
        "CASE WHEN g.n IS NULL THEN 3 WHEN NOT g.differs THEN 0 WHEN w.external_id IS NULL THEN 2 "          \
        "WHEN " differ " THEN 3 ELSE 1 END"

/* Connects to @url (libpq conninfo or URL, "" for libpq's defaults) with UTF8 as client encoding, and sets the
 * session up (session.h). 0 or ERR_DB.
 * @db is to be closed in either case. */
int db_open(struct db *db, const char *url);

void db_close(struct db *db);

/* A server that does not acknowledge what it is sent for @ms is given up: the connection breaks. TCP only. */
void db_limit_silence(struct db *db, unsigned ms);

/* Parameters of one statement, zeroed before the first is added; texts are borrowed. Not to be copied. */
struct db_params {
        int len;
        unsigned types[DB_PARAMS_MAX]; /* Oid */
        const char *values[DB_PARAMS_MAX];
        int lengths[DB_PARAMS_MAX];
        int formats[DB_PARAMS_MAX];
        char fixed[DB_PARAMS_MAX][16];
};

/* Each adds the next parameter; NULL, or a slice whose ptr is NULL, is SQL's NULL. Times are microseconds
 * since the Unix epoch. A text is of type text: cast it in the statement where it is to be something else. */
void db_param_uuid(struct db_params *p, const struct uuid *uuid);
void db_param_i64(struct db_params *p, const int64_t *value);
void db_param_time(struct db_params *p, const int64_t *unix_us);
void db_param_text(struct db_params *p, struct slice text);

/* Runs one or more statements without parameters, all of them in one transaction unless they say otherwise.
 * Failures, here and below: ERR_EXISTS for a unique violation, ERR_INVALID for a value or a row that the
 * database refuses, ERR_DB for anything else; the reason is in @db. */
int db_run(struct db *db, const char *sql);

/* Runs one statement; @params may be NULL. On success *ret is to be freed with db_result_free. */
int db_query(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret);

/* The same for a statement of one row at most: ERR_NOT_FOUND where there is none. */
int db_query_row(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret);

/* Sets the error's text, for a failure that is not the database's own; returns @err. */
int db_fail(struct db *db, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void db_result_free(struct pg_result *res);

int db_rows(const struct pg_result *res);
bool db_null(const struct pg_result *res, int row, int column);

/* Values that are not NULL, of the types bool, int8, timestamptz and uuid. */
bool db_bool(const struct pg_result *res, int row, int column);
int64_t db_i64(const struct pg_result *res, int row, int column);
int64_t db_time(const struct pg_result *res, int row, int column);
struct uuid db_uuid(const struct pg_result *res, int row, int column);

/* A text, name or enum value, with a NUL behind it; empty where it is NULL. Borrows @res. */
struct slice db_text(const struct pg_result *res, int row, int column);

/* Its copy on the heap, NULL for NULL. Running out of memory aborts. */
char *db_text_dup(const struct pg_result *res, int row, int column);

#endif
