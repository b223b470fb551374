#ifndef MODEL_POOLER_H
#define MODEL_POOLER_H

/* A pooler between this program and the server may run each transaction in another session, so that a
 * session's settings, prepared statements and locks end up with other clients. Such a pooler must be
 * detected before anything is set. */

#define POOLER_MOVES                                                                                         \
        "a pooler moves sessions: each transaction may run in another one (let database.url point to a "     \
        "pool in session mode, or to the server itself)"

enum pooler {
        POOLER_KEEPS_SESSIONS, /* or there is no pooler */
        POOLER_MOVES_SESSIONS, /* two connections share a session, or one connection changes sessions */
        POOLER_UNKNOWN,        /* cannot be determined: @pg is broken, or a timeout ends every statement */
        POOLER_SILENT,         /* no answer came */
};

/* Finds out what kind of pooler @pg (PGconn), made with these parameters (PQconnectdbParams), is connected
 * to. Blocks for one round trip; if there is a pooler, for a second connection and a few more. Sets nothing
 * on the server. */
enum pooler pooler_find(void *pg, const char *const *keywords, const char *const *values);

#endif
