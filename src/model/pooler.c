/* The server's greeting contains the process id of the session; a pooler's contains a number of its own. If
 * the greeting differs from the session's id, a second connection is opened, and both ask for their
 * session's process id in turn. With a pooler that keeps sessions, each always gets the same id, and the two
 * ids differ. A pooler that moves sessions gives the session that the first connection just released to the
 * second, or a different one to each question. If the second connection has to wait while the first is idle,
 * the first keeps its session. */
#include "model/pooler.h"

#include <stdbool.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include "model/answer.h"

enum {
        ROUNDS = 6,
        FIRST_MS = 10000, /* as long as a connection attempt may take */
        ANSWER_MS = 2000,
};

static const char pid_sql[] = "SELECT pg_catalog.pg_backend_pid()";

enum {
        PID_NONE = 0,
        PID_SILENT = -1,
};

/* Returns the session's process id. */
static int ask(PGconn *pg, int ms)
{
        PGresult *res = answer_within(pg, pid_sql, ms);
        int pid = PQresultStatus(res) == PGRES_TUPLES_OK ? atoi(PQgetvalue(res, 0, 0)) : PID_NONE;

        if (!res && PQstatus(pg) == CONNECTION_OK)
                pid = PID_SILENT;
        PQclear(res);
        return pid;
}

/* Each connection asks twice in a row: a pooler that hands out sessions round-robin could otherwise give
 * each connection the same one every time. */
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
                if (pid <= 0) /* the second one waits: sessions are kept */
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
