#include "model/db.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/session.h"

/* PostgreSQL counts microseconds from 2000-01-01. */
static const int64_t PG_EPOCH_US = INT64_C(946684800000000);

/* Fixed object ids of types (PostgreSQL, src/include/catalog/pg_type.dat). */
enum {
        OID_INT8 = 20,
        OID_TEXT = 25,
        OID_TIMESTAMPTZ = 1184,
        OID_UUID = 2950,
};

/* --- errors --- */

/* Copies the first @lines lines of @message to db->error, joined to one line. */
static void keep_message(struct db *db, const char *message, int lines)
{
        size_t len = 0;

        for (const char *p = message; *p && len + 3 < sizeof(db->error); p++) {
                if (*p != '\n' && *p != '\t') {
                        db->error[len++] = *p;
                } else if (*p == '\n' && p[1]) {
                        if (--lines <= 0)
                                break;
                        db->error[len++] = ';';
                        db->error[len++] = ' ';
                }
        }
        db->error[len] = '\0';
}

int db_fail(struct db *db, int err, const char *fmt, ...)
{
        char text[DB_ERROR_BYTES];
        va_list args;

        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args); /* db->error may be an argument */
        va_end(args);
        keep_message(db, text, 6); /* libpq reports one or two lines per address that it tried */
        return err;
}

static int code_of(const char *sqlstate)
{
        if (strcmp(sqlstate, "23505") == 0)
                return ERR_EXISTS;
        if (strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0)
                return ERR_INVALID;
        return ERR_DB;
}

/* Keeps only the primary message of a server's error, or the first line if the connection broke: detail and
 * context may quote values. */
static int keep_error(struct db *db, const PGresult *res)
{
        const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

        snprintf(db->sqlstate, sizeof(db->sqlstate), "%s", sqlstate ? sqlstate : "");
        keep_message(db, message ? message : PQerrorMessage(db->pg), 1);
        if (!db->error[0])
                keep_message(db, "the connection was lost", 1);
        return code_of(db->sqlstate);
}

/* --- connecting --- */

static void on_notice(void *arg, const char *message)
{
        (void)arg;
        log_debug("database: %s", message);
}

/* libpq splits a URL at its delimiters. If a password contains a delimiter that is not percent-encoded,
 * libpq takes part of the password for host, port or database and quotes it in errors. Returns true if the
 * only '@' ends user and password. */
static bool url_is_unambiguous(const char *url)
{
        static const char *const schemes[] = {"postgresql://", "postgres://"};
        const char *start = NULL;
        const char *first;

        for (size_t i = 0; !start && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
                if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
                        start = url + strlen(schemes[i]);
        }
        first = start ? strpbrk(start, "/@") : NULL;
        return !first || !strchr(first + 1, '@');
}

bool db_url_valid(const char *url)
{
        PQconninfoOption *options = url_is_unambiguous(url) ? PQconninfoParse(url, NULL) : NULL;

        PQconninfoFree(options);
        return options != NULL;
}

int db_open(struct db *db, const char *url)
{
        /* The URL may override what precedes dbname. */
        static const char *const keywords[] = {"connect_timeout", "fallback_application_name", "dbname",
                                               "client_encoding", NULL};
        const char *values[] = {"10", "boris-ingestd", url, "UTF8", NULL};

        *db = (struct db){0};
        if (!db_url_valid(url))
                return db_fail(db, ERR_DB, "%s", DB_BAD_URL);
        switch (session_connect(keywords, values, &db->pg)) {
        case SESSION_FAILED:
                return db_fail(db, ERR_DB, "%s", db->pg ? PQerrorMessage(db->pg) : "out of memory");
        case SESSION_SILENT:
                return db_fail(db, ERR_DB, "%s", SESSION_SILENT_TEXT);
        case SESSION_MOVED:
                db->pooled = true;
                return 0;
        case SESSION_OPEN:
                break;
        }
        PQsetNoticeProcessor(db->pg, on_notice, NULL);
        return db_run(db, session_command_sql);
}

void db_close(struct db *db)
{
        PQfinish(db->pg);
        db->pg = NULL;
}

void db_limit_silence(struct db *db, unsigned ms)
{
        /* fails for a Unix socket, whose server cannot disappear silently */
        (void)setsockopt(PQsocket(db->pg), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* --- parameters --- */

static void add_param(struct db_params *p, unsigned type, const char *value, size_t len)
{
        int i = p->len++;

        assert(i < DB_PARAMS_MAX && len <= INT_MAX);
        p->types[i] = type;
        p->values[i] = value;
        p->lengths[i] = (int)len;
        p->formats[i] = 1;
}

static char *fixed_room(struct db_params *p)
{
        assert(p->len < DB_PARAMS_MAX);
        return p->fixed[p->len];
}

void db_param_uuid(struct db_params *p, const struct uuid *uuid)
{
        char *fixed = fixed_room(p);

        if (uuid)
                memcpy(fixed, uuid->bytes, sizeof(uuid->bytes));
        add_param(p, OID_UUID, uuid ? fixed : NULL, sizeof(uuid->bytes));
}

static void add_i64(struct db_params *p, unsigned type, const int64_t *value, int64_t epoch)
{
        char *fixed = fixed_room(p);

        if (value)
                put_be64(fixed, (uint64_t)(*value - epoch));
        add_param(p, type, value ? fixed : NULL, sizeof(*value));
}

void db_param_i64(struct db_params *p, const int64_t *value)
{
        add_i64(p, OID_INT8, value, 0);
}

void db_param_time(struct db_params *p, const int64_t *unix_us)
{
        add_i64(p, OID_TIMESTAMPTZ, unix_us, PG_EPOCH_US);
}

void db_param_text(struct db_params *p, struct slice text)
{
        add_param(p, OID_TEXT, text.ptr, text.len);
}

/* --- statements --- */

static bool succeeded(const PGresult *res)
{
        ExecStatusType status = PQresultStatus(res);

        return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

int db_run(struct db *db, const char *sql)
{
        PGresult *res = PQexec(db->pg, sql);
        int err = succeeded(res) ? 0 : keep_error(db, res);

        PQclear(res);
        return err;
}

int db_query(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret)
{
        static const struct db_params none;
        const struct db_params *p = params ? params : &none;
        PGresult *res = PQexecParams(db->pg, sql, p->len, p->types, p->values, p->lengths, p->formats, 1);
        int err;

        if (succeeded(res)) {
                *ret = res;
                return 0;
        }
        err = keep_error(db, res);
        PQclear(res);
        return err;
}

int db_query_row(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret)
{
        int err = db_query(db, sql, params, ret);

        if (err || PQntuples(*ret) > 0)
                return err;
        PQclear(*ret);
        *ret = NULL;
        db->sqlstate[0] = '\0';
        return db_fail(db, ERR_NOT_FOUND, "no such row");
}

int db_query_bool(struct db *db, const char *sql, const struct db_params *params, bool *ret)
{
        struct pg_result *res;
        int err = db_query_row(db, sql, params, &res);

        if (err)
                return err;
        *ret = db_bool(res, 0, 0);
        db_result_free(res);
        return 0;
}

/* --- results --- */

void db_result_free(struct pg_result *res)
{
        PQclear(res);
}

int db_rows(const struct pg_result *res)
{
        return PQntuples(res);
}

bool db_null(const struct pg_result *res, int row, int column)
{
        return PQgetisnull(res, row, column);
}

bool db_bool(const struct pg_result *res, int row, int column)
{
        assert(PQgetlength(res, row, column) == 1);
        return *PQgetvalue(res, row, column) != 0;
}

int64_t db_i64(const struct pg_result *res, int row, int column)
{
        uint64_t be;

        assert(PQgetlength(res, row, column) == sizeof(be));
        memcpy(&be, PQgetvalue(res, row, column), sizeof(be));
        return (int64_t)be64toh(be);
}

int64_t db_time(const struct pg_result *res, int row, int column)
{
        int64_t pg_us = db_i64(res, row, column);

        /* infinity is INT64_MAX */
        return pg_us > INT64_MAX - PG_EPOCH_US ? INT64_MAX : pg_us + PG_EPOCH_US;
}

struct uuid db_uuid(const struct pg_result *res, int row, int column)
{
        struct uuid uuid;

        assert(PQgetlength(res, row, column) == sizeof(uuid.bytes));
        memcpy(uuid.bytes, PQgetvalue(res, row, column), sizeof(uuid.bytes));
        return uuid;
}

struct slice db_text(const struct pg_result *res, int row, int column)
{
        return (struct slice){PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column)};
}

char *db_text_dup(const struct pg_result *res, int row, int column)
{
        char *copy;

        if (PQgetisnull(res, row, column))
                return NULL;
        copy = must_strdup(PQgetvalue(res, row, column));
        return copy;
}
