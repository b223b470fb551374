#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdbool.h>

#include "base/config.h"
#include "commands/arguments.h"
#include "commands/delivery.h"

/* A @format, here and below, is "table", "csv" or "json"; NULL: "table". */

/* Runs the command in the arguments, the daemon included, with the configuration that they name. Returns the
 * exit status; usage errors are reported before any other error. */
int commands_run(const struct arguments *a);

/* The subcommands other than run. Each returns the exit status after printing its output: 0 done; 1 failed,
 * with one line on standard error that says what happened and what to do; 2 usage error. */

/* Applies pending migrations; with @status_only, lists all migrations. */
int command_migrate(const struct config *config, bool status_only);

/* Checks the configuration and, unless @config_only, database and schema, and prints one line per check;
 * returns 1 if any failed. */
int command_check(const struct config *config, bool config_only, const char *format);

/* Reads a JSON object of credentials from @file, or from standard input if NULL; prints the uuid of the new
 * platform connection. @id and @label may be NULL. */
int command_connection_create(const struct config *config, const char *platform, const char *id,
                              const char *label, const char *file);

/* Changes connection @id: its label unless @label is NULL, "" to remove it; and its credentials, read as create
 * does, unless only a label is given. */
int command_connection_update(const struct config *config, const char *id, const char *label,
                              const char *file);

/* Prints the credentials of connection @id; onto a terminal only with --to-terminal. */
int command_connection_show(const struct config *config, const char *id, bool to_terminal);

/* Encrypts all credentials with the first key of credentials.key_file. */
int command_connection_reencrypt(const struct config *config);

/* Prints one line per platform connection, never its credentials. */
int command_connection_list(const struct config *config, const char *format);

/* Deletes a platform connection and everything that belongs to it. Asks first unless @yes. */
int command_connection_delete(const struct config *config, const char *id, bool yes);

/* Sends the lines of the file @path, "-" for standard input, to the daemon; returns 1 if any was rejected or
 * not delivered. */
int command_send(const struct config *config, const char *path, const struct delivery_options *options);

struct validate_options {
        bool json;
        bool against_database;
};

/* Judges the lines of the file @path, "-" for standard input, without the daemon; returns 1 if any would be
 * rejected. */
int command_validate(const struct config *config, const char *path, const struct validate_options *options);

/* Which entries of a reject file to use; NULL: all. */
struct reject_options {
        const char *code;
        const char *account;
        const char *field;
        const char *from;
        const char *to;
        const char *format; /* of the list */
};

/* As command_send, with the records in the reject file @path. */
int command_rejects_replay(const struct config *config, const char *path,
                           const struct delivery_options *options, const struct reject_options *wanted);

/* Counts the entries of the reject file @path. */
int command_rejects_list(const char *path, const struct reject_options *options);

/* Shows the status that the daemon publishes at @url (NULL: http.listen), refreshed every second, or once. */
int command_top(const struct config *config, const char *url, bool once);

/* These inspect the spool, or @file unless NULL. Status: how many lines it contains, and since when. Verify:
 * returns 1 if it is damaged. Export: prints the lines as they were sent, in order of arrival. */
int command_spool_status(const struct config *config, const char *file, const char *format);
int command_spool_verify(const struct config *config, const char *file);
int command_spool_export(const struct config *config, const char *file);

/* Options that select an ad account; NULL if absent. */
struct account_options {
        const char *account;
        const char *platform;
        const char *connection;
        const char *object;
};

/* Prints an account's hierarchy as a tree, or the ancestors and descendants of one object. */
int command_hierarchy(const struct config *config, const struct account_options *options, const char *format);

struct report_options {
        struct account_options of; /* account NULL: all accounts */
        const char *from;
        const char *to;
        const char *bucket;
        const char *by;
        const char *format;
        bool latest;
        bool explain;
};

/* Prints spending: totals; with latest, the latest collection; with explain, each row of an object and why
 * it counts. */
int command_report(const struct config *config, const struct report_options *options);

#endif
