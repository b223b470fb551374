#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdbool.h>

#include "base/config.h"
#include "commands/arguments.h"
#include "commands/delivery.h"

/* A @format, here and below, is "table", "csv" or "json"; NULL: "table". */

/* Runs the command that the arguments ask for, the daemon included, with the configuration that they name.
 * Returns the process's exit status; wrong usage is told before any other fault. */
int commands_run(const struct arguments *a);

/* The subcommands besides run. Each returns the process's exit status after printing what it has to say: 0
 * done; 1 failed, with one line on standard error that says what and what to do; 2 wrong usage. */

/* Applies what is missing of the migrations, or with @status_only lists them. */
int command_migrate(const struct config *config, bool status_only);

/* Looks at configuration and, unless @config_only, database and schema, a line for each; 1 where anything is wrong. */
int command_check(const struct config *config, bool config_only, const char *format);

/* Reads a JSON object of credentials from @file, or from standard input where that is NULL; prints the new
 * connection's uuid. @id may be NULL. */
int command_connection_create(const struct config *config, const char *platform, const char *id,
                              const char *file);

/* Replaces the credentials of connection @id, read likewise. */
int command_connection_update(const struct config *config, const char *id, const char *file);

/* Prints the credentials of connection @id; onto a terminal only where it is told to. */
int command_connection_show(const struct config *config, const char *id, bool to_terminal);

/* Encrypts all credentials with the first key of credentials.key_file. */
int command_connection_reencrypt(const struct config *config);

/* Prints a line for each platform connection, never its credentials. */
int command_connection_list(const struct config *config, const char *format);

/* Deletes a connection and all that belongs to it. Without @yes it asks first. */
int command_connection_delete(const struct config *config, const char *id, bool yes);

/* Sends the lines of the file @path, "-" for standard input, to the daemon; 1 where any is rejected or not
 * delivered. */
int command_send(const struct config *config, const char *path, const struct delivery_options *options);

struct validate_options {
        bool json;
        bool against_database;
};

/* Judges the lines of the file @path, "-" for standard input, without the daemon; 1 where it would reject any. */
int command_validate(const struct config *config, const char *path, const struct validate_options *options);

/* Which entries of a reject file are wanted; NULL: all. */
struct reject_options {
        const char *code;
        const char *account;
        const char *field;
        const char *from;
        const char *to;
        const char *format; /* of the list */
};

/* As command_send, with the records of the reject file @path. */
int command_rejects_replay(const struct config *config, const char *path,
                           const struct delivery_options *options, const struct reject_options *wanted);

/* Counts the entries of the reject file @path. */
int command_rejects_list(const char *path, const struct reject_options *options);

/* Shows what the daemon tells of itself at @url (NULL: http.listen), each second anew, or once. */
int command_top(const struct config *config, const char *url, bool once);

/* These look into the spool, or into @file where it is not NULL. Status: how much lies there, and since when.
 * Verify: 1 where it is not whole. Export: the lines as they were sent, in order of arrival. */
int command_spool_status(const struct config *config, const char *file, const char *format);
int command_spool_verify(const struct config *config, const char *file);
int command_spool_export(const struct config *config, const char *file);

/* The options of the commands that are about an ad account; NULL where one is not given. */
struct account_options {
        const char *account;
        const char *platform;
        const char *connection;
        const char *object;
};

/* Prints an account's hierarchy as a tree, or one object's lineage in it. */
int command_hierarchy(const struct config *config, const struct account_options *options, const char *format);

struct report_options {
        struct account_options of; /* account NULL: of all */
        const char *from;
        const char *to;
        const char *bucket;
        const char *by;
        const char *format;
        bool latest;
        bool explain;
};

/* Prints what was spent, with latest what was collected last, with explain each row of an object and why it counts. */
int command_report(const struct config *config, const struct report_options *options);

#endif
