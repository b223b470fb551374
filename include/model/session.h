#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

#include "model/session_host.h"

/* A role or database can carry its own default for almost every setting. These statements fix the settings
 * that a promise depends on or that change the meaning of a statement; fits.h checks those that the role may
 * not set. Settings that only cost time or concern the operator's triggers (DateStyle, TimeZone,
 * row_security, ...) are left alone. None of these statements may be sent through a pooler that moves
 * sessions: see pooler.h. */

/* For commands. */
extern const char session_command_sql[];

/* For the daemon's connections; the first check (fits.h) follows. */
extern const char session_daemon_sql[];

/* Connections use this password where the url has none, or the first line of @file, which is read for each connection: the
 * password may be rotated. "": libpq's own means. To be called before there are threads. */
void session_use_password(const char *password, const char *file);

enum session_outcome {
        SESSION_FAILED, /* no connection, or it broke: see PQerrorMessage */
        SESSION_SILENT, /* connected, but the server or pooler does not answer */
        SESSION_MOVED,  /* connected through a pooler that moves sessions: nothing was set */
        SESSION_OPEN,   /* connected, and no timeout limits later statements */
};

/* Connects with these parameters (PQconnectdbParams, with expand_dbname). @ret_pg is a PGconn in every case;
 * the caller frees it with PQfinish. Blocks for a bounded time. */
enum session_outcome session_connect(const char *const *keywords, const char *const *values, void **ret_pg);

/* The same, where the url, the value of "dbname", names several hosts: @last, the host of the previous connection, is tried first, so that a dead
 * host before it does not cost its timeout each time. *last becomes the one that it is connected to. */
enum session_outcome session_connect_again(const char *const *keywords, const char *const *values,
                                           struct session_host *last, void **ret_pg);

#define SESSION_SILENT_TEXT "the server took the connection and answers nothing"

#endif
