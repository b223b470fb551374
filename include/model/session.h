#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

/* A role and a database can carry a default for almost every setting. These statements fix those that a promise
 * rests on or that change what a statement means; fits.h verifies what the role may not set. Settings that
 * only cost time, or that belong to the operator's triggers (DateStyle, TimeZone, row_security, ...), stay.
 * Nothing of it may be sent through a pooler that moves sessions: see pooler.h. */

/* To be sent alone, before the others: a limit of some milliseconds would end these. */
extern const char session_limits_sql[];

/* For commands. */
extern const char session_command_sql[];

/* For the daemon's connections, which also must not be ended by a timeout; then the first look (fits.h). */
extern const char session_daemon_sql[];

#endif
