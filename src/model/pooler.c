/* The server greets with the process id of the session; a pooler greets with a number of its own. Where the two
 * differ, a second connection is opened, and both ask for their session's process id in turn. A pooler that
 * keeps sessions answers each with one id, and these differ. A pooler that moves them hands the session that the
 * first has just released to the second, or another one to each question. Where the second waits for an answer
 * while the first is idle, the first keeps its session. */
#include "model/pooler.h"

#include <stdbool.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include "model/answer.h"

enum {
        ROUNDS = 6,
        FIRST_MS = 10000, /* as long as connecting may take */
        ANSWER_MS = 2000,
};

static const char pid_sql[] = "SELECT pg_catalog.pg_backend_pid()";

enum {
        PID_NONE = 0,
        PID_SILENT = -1,
};

/* The session's process id. */
static int ask(PGconn *pg, int ms)
{
        PGresult *res = answer_within(pg, pid_sql, ms);
        int pid = PQresultStatus(res) == PGRES_TUPLES_OK ? atoi(PQgetvalue(res, 0, 0)) : PID_NONE;

        if (!res && PQstatus(pg) == CONNECTION_OK)
                pid = PID_SILENT;
        PQclear(res);
        return pid;
}

/* Each is asked twice in a row: a pooler that takes its sessions in turn could else give each connection its own
 * for ever. */
static bool share_sessions(PGconn *first, PGconn *second, int own)
{
        int other = 0;

        for (int i = 0; i < ROUNDS; i++) {
                int pid = ask(i % 2 == 0 ? first : second, ANSWER_MS);

                if (pid <= 0)
                        return false;
                if (i % 2 == 0 && pid != own)
                        return true;
                pid = ask(second, ANSWER_MS);
                if (pid <= 0) /* it waits: sessions are kept */
                        return false;
                if (pid == own || (other != 0 && pid != other))
                        return true;
                other = pid;
        }
        return false;
}

enum pooler pooler_find(void *pg, const char *const *keywords, const char *const *values)
{
        PGconn *second;
        bool moves;
        int pid = ask(pg, FIRST_MS);

        if (pid <= 0)
                return pid == PID_SILENT ? POOLER_SILENT : POOLER_UNKNOWN;
        if (pid == PQbackendPID(pg))
                return POOLER_KEEPS_SESSIONS;
        second = PQconnectdbParams(keywords, values, 1);
        moves = PQstatus(second) == CONNECTION_OK && share_sessions(pg, second, pid);
        PQfinish(second);
        return moves ? POOLER_MOVES_SESSIONS : POOLER_KEEPS_SESSIONS;
}
