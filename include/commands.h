#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdbool.h>

#include "config.h"

/* The subcommands besides run. Each returns the process's exit status after printing what it has to say: 0
 * done; 1 failed, with one line on standard error that says what and what to do; 2 wrong usage. */

/* Applies what is missing of the migrations, or with @status_only lists them. */
int command_migrate(const struct config *config, bool status_only);

/* Looks at configuration, database and schema, a line for each; 1 where anything is wrong. */
int command_check(const struct config *config);

/* Reads a JSON object of credentials from standard input; prints the new connection's uuid. @id may be NULL.
 */
int command_connection_create(const struct config *config, const char *platform, const char *id);

/* Prints a line for each platform connection, never its credentials. */
int command_connection_list(const struct config *config);

#endif
