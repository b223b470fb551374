/* The server greets with the process id of the session; a pooler greets with a number of its own. Where the two
 * differ, a second connection is opened, and both ask for their session's process id in turn. A pooler that
 * keeps sessions answers each with one id, and these differ. A pooler that moves them hands the session that the
 * first has just released to the second, or another one to each question. Where the second waits for an answer
 * while the first is idle, the first keeps its session. */
#include "model/pooler.h"

#include <stdlib.h>

#include <poll.h>

#include <libpq-fe.h>

enum {
        ROUNDS = 6,
        ANSWER_MS = 2000,
};

static const char pid_sql[] = "SELECT pg_catalog.pg_backend_pid()";

static int pid_of(const PGresult *res)
{
        return PQresultStatus(res) == PGRES_TUPLES_OK ? atoi(PQgetvalue(res, 0, 0)) : 0;
}

/* The session's process id; 0 where there is no answer in time. */
static int ask(PGconn *pg)
{
        PGresult *res;
        int pid = 0;

        if (!PQsendQuery(pg, pid_sql))
                return 0;
        while (PQisBusy(pg)) {
                struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};

                if (poll(&fd, 1, ANSWER_MS) <= 0 || !PQconsumeInput(pg))
                        return 0;
        }
        while ((res = PQgetResult(pg))) {
                int answer = pid_of(res);

                if (answer != 0)
                        pid = answer;
                PQclear(res);
        }
        return pid;
}

/* Each is asked twice in a row: a pooler that takes its sessions in turn could else give each connection its own
 * for ever. */
static bool share_sessions(PGconn *first, PGconn *second)
{
        int own = ask(first);
        int other = 0;

        for (int i = 0; i < ROUNDS && own != 0; i++) {
                int pid = ask(i % 2 == 0 ? first : second);

                if (pid == 0)
                        return false;
                if (i % 2 == 0 && pid != own)
                        return true;
                pid = ask(second);
                if (pid == 0) /* it waits: sessions are kept */
                        return false;
                if (pid == own || (other != 0 && pid != other))
                        return true;
                other = pid;
        }
        return false;
}

bool pooler_moves_sessions(void *pg, const char *const *keywords, const char *const *values)
{
        PGconn *second;
        bool moves;
        int pid = ask(pg);

        if (pid == 0 || pid == PQbackendPID(pg))
                return false;
        second = PQconnectdbParams(keywords, values, 1);
        moves = PQstatus(second) == CONNECTION_OK && share_sessions(pg, second);
        PQfinish(second);
        return moves;
}
