#ifndef MODEL_ANSWER_H
#define MODEL_ANSWER_H

#include <libpq-fe.h>

/* Sends @sql and waits at most @ms for each part of the answer. Returns the last result, which the caller
 * frees with PQclear; NULL if none came in time or the connection broke (PQstatus). */
PGresult *answer_within(PGconn *pg, const char *sql, int ms);

#endif
