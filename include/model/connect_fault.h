#ifndef CONNECT_FAULT_H
#define CONNECT_FAULT_H

#include <stdbool.h>

/* Interprets the error text of a failed connection attempt. libpq gives no SQLSTATE for it. Only English texts are recognised. */

/* Returns what the operator can do; NULL if the text is not known. */
const char *connect_advice(const char *error);

/* Returns advice for a command that could not connect to @url, which may be empty; never NULL. */
const char *connect_advice_for(const char *error, const char *url);

/* Whether a role, database or server has no connection left. */
bool connect_too_many(const char *error);

#endif
