/* What the owner of a connection can read from a command's result. */
#include "pg/pg_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <endian.h>

#include <libpq-fe.h>

#include "base/utf8.h"
#include "pg/pg_result_look.h"

static const PGresult *pg(const struct pg_result *res)
{
        return (const PGresult *)res;
}

static const char *field_of(const struct pg_result *res, int field)
{
        const char *text = PQresultErrorField(pg(res), field);

        return text ? text : "";
}

/* A function can raise any text with any code. */
static bool is_by_function(const struct pg_result *res)
{
        return strstr(field_of(res, PG_DIAG_CONTEXT), " function ") != NULL ||
               strcmp(field_of(res, PG_DIAG_SOURCE_FUNCTION), "exec_stmt_raise") == 0;
}

/* The server uses two SQLSTATEs for its own faults that rows can cause, too. Returns for such a fault a SQLSTATE that no row
 * causes.
 * - A full queue of NOTIFY, which only COMMIT meets, has the code of a value that is too large.
 * - A disk quota, and each errno that PostgreSQL does not know, has the code that a trigger's function may raise. */
static const char *code_of_server(const struct pg_result *res, const char *sqlstate)
{
        if (strcmp(field_of(res, PG_DIAG_SOURCE_FUNCTION), "PreCommit_Notify") == 0)
                return SQLSTATE_NO_RESOURCES;
        if (strcmp(sqlstate, SQLSTATE_INTERNAL_ERROR) == 0 && !is_by_function(res))
                return SQLSTATE_SYSTEM_ERROR;
        return sqlstate;
}

const char *pg_result_sqlstate(const struct pg_result *res)
{
        ExecStatusType status = PQresultStatus(pg(res));
        const char *sqlstate;

        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
                return NULL;
        sqlstate = PQresultErrorField(pg(res), PG_DIAG_SQLSTATE);
        return sqlstate ? code_of_server(res, sqlstate) : SQLSTATE_INTERNAL_ERROR;
}

/* True if the message is the server's own text and contains no values: its class is not about data, and no
 * function raised it, since a function can raise any text with any code. */
static bool is_message_plain(const struct pg_result *res)
{
        static const char *const classes[] = {"08", "25", "28", "3D", "3F", "40", "42", "53",
                                              "54", "55", "57", "58", "XX", "TS", "0A"};
        const char *sqlstate = field_of(res, PG_DIAG_SQLSTATE);

        if (field_of(res, PG_DIAG_CONTEXT)[0] != '\0' && !strstr(field_of(res, PG_DIAG_CONTEXT), "COPY "))
                return false;
        if (is_by_function(res))
                return false;
        for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
                if (strncmp(sqlstate, classes[i], 2) == 0)
                        return true;
        }
        return sqlstate[0] == '\0';
}

const char *pg_result_message(const struct pg_result *res)
{
        return is_message_plain(res) ? field_of(res, PG_DIAG_MESSAGE_PRIMARY)
                                     : "(message not logged: it may quote a line)";
}

const char *pg_result_context(const struct pg_result *res)
{
        const char *context = PQresultErrorField(pg(res), PG_DIAG_CONTEXT);

        return context ? context : "";
}

/* Describes the error by schema names only. */
static void describe(const struct pg_result *res, char *out, size_t size)
{
        static const struct {
                const char *what;
                int field;
        } names[] = {{"constraint", PG_DIAG_CONSTRAINT_NAME},
                     {"table", PG_DIAG_TABLE_NAME},
                     {"column", PG_DIAG_COLUMN_NAME},
                     {"type", PG_DIAG_DATATYPE_NAME}};
        size_t len = (size_t)snprintf(out, size, "%s", pg_result_message(res));

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && len < size; i++) {
                const char *name = field_of(res, names[i].field);

                if (name[0])
                        len += (size_t)snprintf(out + len, size - len, ", %s %.80s", names[i].what, name);
        }
}

struct pg_error pg_result_error(const struct pg_result *res)
{
        struct pg_error error;

        snprintf(error.sqlstate, sizeof(error.sqlstate), "%s", pg_result_sqlstate(res));
        utf8_excerpt(slice_str(field_of(res, PG_DIAG_MESSAGE_PRIMARY)), error.told, sizeof(error.told));
        if (is_message_plain(res))
                memcpy(error.message, error.told, sizeof(error.message));
        else
                describe(res, error.message, sizeof(error.message));
        return error;
}

int64_t pg_result_affected(const struct pg_result *res)
{
        const char *text = PQcmdTuples((PGresult *)(uintptr_t)res);

        return text[0] ? strtoll(text, NULL, 10) : -1;
}

int pg_result_rows(const struct pg_result *res)
{
        return PQntuples(pg(res));
}

bool pg_result_null(const struct pg_result *res, int row, int column)
{
        return PQgetisnull(pg(res), row, column);
}

/* A server may send a value of any size, whatever was requested. */
static void read_fixed(const struct pg_result *res, int row, int column, void *value, size_t len)
{
        if (column < PQnfields(pg(res)) && row < PQntuples(pg(res)) &&
            (size_t)PQgetlength(pg(res), row, column) == len)
                memcpy(value, PQgetvalue(pg(res), row, column), len);
}

bool pg_result_bool(const struct pg_result *res, int row, int column)
{
        char value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return value != 0;
}

int32_t pg_result_i32(const struct pg_result *res, int row, int column)
{
        uint32_t value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return (int32_t)be32toh(value);
}

int64_t pg_result_i64(const struct pg_result *res, int row, int column)
{
        uint64_t value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return (int64_t)be64toh(value);
}

struct uuid pg_result_uuid(const struct pg_result *res, int row, int column)
{
        struct uuid uuid = {0};

        read_fixed(res, row, column, uuid.bytes, sizeof(uuid.bytes));
        return uuid;
}

struct slice pg_result_text(const struct pg_result *res, int row, int column)
{
        return (struct slice){PQgetvalue(pg(res), row, column), (size_t)PQgetlength(pg(res), row, column)};
}

/* Accepts only errors of the check itself: a trigger's function may raise the same words and quote a line. */
bool pg_result_unfit(const struct pg_result *res, char ret_why[FITS_TEXT_BYTES])
{
        return field_of(res, PG_DIAG_CONTEXT)[0] == '\0' &&
               fits_read_error(field_of(res, PG_DIAG_SQLSTATE), field_of(res, PG_DIAG_MESSAGE_PRIMARY),
                               ret_why);
}

bool pg_result_doubtful(const struct pg_result *res)
{
        static const char *const usual[] = {"23505", "23503", "40", "55P03", "53", "57"};
        const char *sqlstate = pg_result_sqlstate(res);

        for (size_t i = 0; sqlstate && i < sizeof(usual) / sizeof(usual[0]); i++) {
                if (strncmp(sqlstate, usual[i], strlen(usual[i])) == 0)
                        return false;
        }
        return sqlstate != NULL;
}

void pg_result_describe_look(const struct pg_result *res, char ret_why[FITS_TEXT_BYTES])
{
        const char *sqlstate = pg_result_sqlstate(res);
        const char *advice = sqlstate_advice(sqlstate);

        snprintf(ret_why, FITS_TEXT_BYTES, "the tables cannot be examined: %s (SQLSTATE %s)%s%s",
                 pg_result_message(res), sqlstate, advice ? ": " : "", advice ? advice : "");
}
