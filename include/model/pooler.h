#ifndef MODEL_POOLER_H
#define MODEL_POOLER_H

/* A pooler between this program and the server may run each transaction in another session: settings, prepared
 * statements and locks of a session are then somebody else's. Such a pooler must be found before anything is
 * set. */

#define POOLER_MOVES                                                                                         \
        "a pooler moves sessions: each transaction may run in another one (let database.url point to a "     \
        "pool in session mode, or to the server itself)"

enum pooler {
        POOLER_KEEPS_SESSIONS, /* or there is none */
        POOLER_MOVES_SESSIONS, /* two connections share a session, or one changes its own */
        POOLER_UNKNOWN, /* the session cannot be asked: @pg is broken, or a timeout ends each statement */
        POOLER_SILENT,  /* no answer came */
};

/* Tells what @pg (PGconn), which was made with these parameters (PQconnectdbParams), is connected to. Blocks for a round trip,
 * and where a pooler is there for a second connection and a few more. Sets nothing on the server. */
enum pooler pooler_find(void *pg, const char *const *keywords, const char *const *values);

#endif
