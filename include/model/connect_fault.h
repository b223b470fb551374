#ifndef CONNECT_FAULT_H
#define CONNECT_FAULT_H

#include <stdbool.h>

/* What an error text of a failed attempt to connect means. libpq gives no SQLSTATE for it, only words: the server's in its own
 * language, of which English is known. */

/* What to do; NULL where the text is not known. */
const char *connect_advice(const char *error);

/* Whether a role, database or server has no connection left. */
bool connect_too_many(const char *error);

#endif
