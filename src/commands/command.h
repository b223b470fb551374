#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "commands/commands.h"
#include "commands/table.h"
#include "model/ad_account.h"
#include "model/db.h"

/* Helpers that the subcommands share. */

enum exit_status { DONE, FAILED, USAGE };

/* Prints an error, one line on standard error; returns @status. */
int command_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* NULL means "table". Returns 0, or USAGE after reporting the error. @csv: "csv" is a format, too. */
int command_read_format(const char *text, bool csv, enum table_format *ret);

/* A terminal that can only print (TERM=dumb). */
bool command_terminal_is_dumb(void);

/* The last line of a command if lines were rejected: how many, of how many (uint64_t). */
#define COMMAND_REJECTED_FORMAT "%" PRIu64 " of %" PRIu64 " lines were rejected: see above for each"

/* Prints a reject to standard output, as text or as a line of JSON; @field may be "". */
void command_print_reject(bool json, uint64_t line, const char *code, const char *field, const char *message);

/* As command_fail, for the database's last error, with what to do about it; returns FAILED. */
int command_fail_db(const struct db *db, const char *what);

const char *command_advice(const struct db *db);

/* Returns 0, or FAILED after printing the error; the caller closes @db in either case. */
int command_open_database(struct db *db, const struct config *config);

/* Returns 0, or USAGE after printing the error; a NULL @label is none. */
int command_check_label(const char *label);

/* The account and object that a command is about. */
struct command_account {
        const char *external_id; /* NULL: all */
        const char *object;      /* external id, or NULL */
        bool has_platform;
        enum platform platform;
        bool has_connection;
        struct uuid connection;
};

/* Returns 0, or USAGE after printing the error. */
int command_read_account(const struct account_options *options, struct command_account *ret);

/* Finds the ids of the account and, if given, the object. Returns 0, or FAILED after printing the error. */
int command_find_account(struct db *db, const struct command_account *asked, struct ad_account_list *ret,
                         struct uuid *ret_object);

#endif
