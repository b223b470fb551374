/* The first statement lifts a role's timeouts. If they are so short that they end this statement, or the
 * session before it, a second connection lifts them in its start-up packet, which overrides defaults of
 * roles and databases. This is not done at first, since poolers refuse such a packet. */
#include "model/session.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "model/answer.h"
#include "model/pooler.h"

enum {
        ANSWER_MS = 10000,
        PARAMETERS_MAX = 20,
        PASSWORD_BYTES = 1024,
        WITH_TRANSACTION_TIMEOUT = 170000, /* server version that introduced transaction_timeout */
};

static const char limits_sql[] =
        "SELECT set_config('statement_timeout', '0', false), set_config('idle_session_timeout', '0', false), "
        "CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL "
        "THEN set_config('transaction_timeout', '0', false) END";

/* Lifts the timeouts. Returns an outcome other than SESSION_OPEN if a timeout ended the statement or the
 * session. */
static enum session_outcome lift_limits(PGconn *pg)
{
        PGresult *res = answer_within(pg, limits_sql, ANSWER_MS);
        enum session_outcome outcome = PQresultStatus(res) == PGRES_TUPLES_OK ? SESSION_OPEN : SESSION_FAILED;

        if (!res && PQstatus(pg) == CONNECTION_OK)
                outcome = SESSION_SILENT;
        PQclear(res);
        return outcome;
}

static enum session_outcome set_up(PGconn *pg, const char *const *keywords, const char *const *values)
{
        if (PQstatus(pg) != CONNECTION_OK)
                return SESSION_FAILED;
        switch (pooler_find(pg, keywords, values)) {
        case POOLER_MOVES_SESSIONS:
                return SESSION_MOVED;
        case POOLER_SILENT:
                return SESSION_SILENT;
        case POOLER_UNKNOWN:
                return SESSION_FAILED;
        case POOLER_KEEPS_SESSIONS:
                break;
        }
        return lift_limits(pg);
}

/* Returns the options that @pg was given, extended by settings without timeouts. The caller frees it. */
static char *options_without_limits(PGconn *pg, int version)
{
        PQconninfoOption *given = PQconninfo(pg);
        const char *before = "";
        char *options;

        for (PQconninfoOption *o = given; o && o->keyword; o++) {
                if (strcmp(o->keyword, "options") == 0 && o->val)
                        before = o->val;
        }
        if (asprintf(&options, "%s -c statement_timeout=0 -c idle_session_timeout=0%s", before,
                     version >= WITH_TRANSACTION_TIMEOUT ? " -c transaction_timeout=0" : "") < 0)
                abort();
        PQconninfoFree(given);
        return options;
}

static enum session_outcome connect_with(const char *const *keywords, const char *const *values,
                                         void **ret_pg)
{
        const char *more_keywords[PARAMETERS_MAX];
        const char *more_values[PARAMETERS_MAX];
        PGconn *pg = PQconnectdbParams(keywords, values, 1);
        int version = PQstatus(pg) == CONNECTION_OK ? PQserverVersion(pg) : 0;
        enum session_outcome outcome = set_up(pg, keywords, values);
        char *options;
        size_t n = 0;

        *ret_pg = pg;
        if (outcome != SESSION_FAILED || version == 0)
                return outcome;
        for (; n < PARAMETERS_MAX - 2 && keywords[n]; n++) {
                more_keywords[n] = keywords[n];
                more_values[n] = values[n];
        }
        options = options_without_limits(pg, version);
        more_keywords[n] = "options";
        more_values[n] = options;
        more_keywords[n + 1] = NULL;
        more_values[n + 1] = NULL;
        PQfinish(pg);
        *ret_pg = PQconnectdbParams(more_keywords, more_values, 1);
        free(options);
        return set_up(*ret_pg, more_keywords, more_values);
}

/* --- the password --- */

#define PASSWORD_FILE "BORIS_INGESTD_PASSWORD_FILE" /* in the environment, as libpq has its defaults there */

void session_use_password(const char *password, const char *file)
{
        if (!password[0])
                return;
        setenv("PGPASSWORD", password, 1);
        setenv(PASSWORD_FILE, file, 1);
}

/* Reads the first line of the password file; "" if there is no such file. */
static void read_password(char ret[PASSWORD_BYTES])
{
        const char *path = getenv(PASSWORD_FILE);
        FILE *f = path ? fopen(path, "re") : NULL;

        if (!f || !fgets(ret, PASSWORD_BYTES, f))
                ret[0] = '\0';
        if (f)
                fclose(f);
        ret[strcspn(ret, "\r\n")] = '\0';
}

/* libpq uses the last of equal keywords: the password comes first, so that one in the url replaces it. */
enum session_outcome session_connect(const char *const *keywords, const char *const *values, void **ret_pg)
{
        const char *more_keywords[PARAMETERS_MAX] = {"password"};
        const char *more_values[PARAMETERS_MAX];
        char password[PASSWORD_BYTES];
        enum session_outcome outcome;
        size_t n = 0;

        read_password(password);
        more_values[0] = password[0] ? password : NULL;
        for (; n < PARAMETERS_MAX - 2 && keywords[n]; n++) {
                more_keywords[n + 1] = keywords[n];
                more_values[n + 1] = values[n];
        }
        more_keywords[n + 1] = NULL;
        more_values[n + 1] = NULL;
        outcome = connect_with(more_keywords, more_values, ret_pg);
        explicit_bzero(password, sizeof(password));
        return outcome;
}

/* --- several hosts --- */

static bool has_several_hosts(const char *url)
{
        PQconninfoOption *options = PQconninfoParse(url, NULL);
        bool several = false;

        for (PQconninfoOption *o = options; o && o->keyword; o++)
                several |= strcmp(o->keyword, "host") == 0 && o->val && strchr(o->val, ',');
        PQconninfoFree(options);
        return several;
}

static const char *value_of(const char *const *keywords, const char *const *values, const char *keyword)
{
        for (size_t i = 0; keywords[i]; i++) {
                if (strcmp(keywords[i], keyword) == 0)
                        return values[i];
        }
        return "";
}

/* libpq uses the last of equal keywords: host and port come after the url and replace its own. */
static enum session_outcome connect_to(const struct session_host *host, const char *const *keywords,
                                       const char *const *values, void **ret_pg)
{
        const char *more_keywords[PARAMETERS_MAX];
        const char *more_values[PARAMETERS_MAX];
        size_t n = 0;

        for (; n < PARAMETERS_MAX - 4 && keywords[n]; n++) {
                more_keywords[n] = keywords[n];
                more_values[n] = values[n];
        }
        more_keywords[n] = "host";
        more_values[n++] = host->host;
        more_keywords[n] = "port";
        more_values[n++] = host->port;
        more_keywords[n] = NULL;
        more_values[n] = NULL;
        return session_connect(more_keywords, more_values, ret_pg);
}

enum session_outcome session_connect_again(const char *const *keywords, const char *const *values,
                                           struct session_host *last, void **ret_pg)
{
        bool several = has_several_hosts(value_of(keywords, values, "dbname"));
        enum session_outcome outcome = SESSION_FAILED;

        *ret_pg = NULL;
        if (several && last->host[0])
                outcome = connect_to(last, keywords, values, ret_pg);
        if (outcome == SESSION_FAILED || outcome == SESSION_SILENT) {
                PQfinish(*ret_pg);
                outcome = session_connect(keywords, values, ret_pg);
        }
        if (several && outcome == SESSION_OPEN) {
                snprintf(last->host, sizeof(last->host), "%s", PQhost(*ret_pg));
                snprintf(last->port, sizeof(last->port), "%s", PQport(*ret_pg));
        }
        return outcome;
}
