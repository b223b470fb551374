#include "model/answer.h"

#include <errno.h>
#include <stdbool.h>

#include <poll.h>

static bool wait_readable(PGconn *pg, int ms)
{
        struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};
        int n;

        do
                n = poll(&fd, 1, ms);
        while (n < 0 && errno == EINTR);
        return n > 0;
}

PGresult *answer_within(PGconn *pg, const char *sql, int ms)
{
        PGresult *last = NULL;

        if (!PQsendQuery(pg, sql))
                return NULL;
        for (;;) {
                PGresult *res;

                while (PQisBusy(pg)) {
                        if (!wait_readable(pg, ms) || !PQconsumeInput(pg)) {
                                PQclear(last);
                                return NULL;
                        }
                }
                res = PQgetResult(pg);
                if (!res)
                        return last;
                PQclear(last);
                last = res;
        }
}
