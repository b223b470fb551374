#ifndef MODEL_POOLER_H
#define MODEL_POOLER_H

#include <stdbool.h>

/* A pooler between this program and the server may run each transaction in another session: settings, prepared
 * statements and locks of a session are then somebody else's. Such a pooler must be found before anything is
 * set. */

#define POOLER_MOVES                                                                                         \
        "a pooler moves sessions: each transaction may run in another one (let database.url point to a "     \
        "pool in session mode, or to the server itself)"

/* True where two connections with these parameters (PQconnectdbParams) share a session, or @pg (PGconn) changes
 * its own. Blocks for a round trip, and where a pooler is there for a second connection and a few more. Sets
 * nothing on the server. A connection that breaks meanwhile counts as not moved: what follows fails. */
bool pooler_moves_sessions(void *pg, const char *const *keywords, const char *const *values);

#endif
