#ifndef MODEL_ANSWER_H
#define MODEL_ANSWER_H

#include <libpq-fe.h>

/* Sends @sql, and waits for @ms at the most for each part of the answer. Returns the result, the last one of several, to be given to
 * PQclear; NULL where none came in time, or the connection broke (PQstatus). */
PGresult *answer_within(PGconn *pg, const char *sql, int ms);

#endif
