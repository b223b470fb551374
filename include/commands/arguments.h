#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum { ARGUMENTS_OVERRIDES_MAX = 64 };

/* Options of single commands: name, the word for the value (NULL for a flag), help. */
#define OPTION_MAP(X)                                                                                        \
        X(ID, "id", "UUID", "create the connection with this id")                                            \
        X(FILE, "file", "FILE", "read this file")                                                            \
        X(LABEL, "label", "TEXT", "a name for people, up to 80 characters; an empty one removes it")         \
        X(TO_TERMINAL, "to-terminal", NULL, "print even if standard output is a terminal")                   \
        X(YES, "yes", NULL, "do not ask")                                                                    \
        X(CONFIG_ONLY, "config-only", NULL, "check the configuration alone, without the database")           \
        X(STATUS, "status", NULL, "list the migrations")                                                     \
        X(ACCOUNT, "account", "ID", "the ad account, by its external id")                                    \
        X(CODE, "code", "CODE", "entries with this reject code")                                             \
        X(FIELD, "field", "NAME", "entries about this field")                                                \
        X(PLATFORM, "platform", "PLATFORM", "META, GOOGLE_ADS or TIKTOK, if several platforms have the id")  \
        X(CONNECTION, "connection", "UUID", "the platform connection, if several reach the account")         \
        X(OBJECT, "object", "ID", "one ad object and everything below it, by its external id")               \
        X(FROM, "from", "WHEN",                                                                              \
          "a date (2026-11-01) in the account's time zone (rejects: in UTC), or an RFC 3339 time")           \
        X(TO, "to", "WHEN", "like --from; excluded")                                                         \
        X(BUCKET, "bucket", "STEP", "1h, 1d, 1w, 1mon or a multiple")                                        \
        X(BY, "by", "WORD", "account, platform, campaign or object")                                         \
        X(LATEST, "latest", NULL, "print the latest record of each object and period instead")               \
        X(EXPLAIN, "explain", NULL, "print each stored row of an object, and why it counts or not")          \
        X(FORMAT, "format", "WORD", "table, json or csv (check and spool status: not csv)")                  \
        X(SOCKET, "socket", "PATH", "the daemon's Unix socket (default: listen.unix)")                       \
        X(TCP, "tcp", "HOST:PORT", "the daemon's TCP address; without TLS")                                  \
        X(RETRY, "retry", "TIME",                                                                            \
          "give up after TIME (90, 30s, 1h) without progress (default: 60s); if set, also retry the first "  \
          "connection")                                                                                      \
        X(FROM_LINE, "from-line", "N", "begin with line N, at which an earlier send stopped")                \
        X(JSON, "json", NULL, "print JSON")                                                                  \
        X(AGAINST_DATABASE, "against-database", NULL,                                                        \
          "say what would be stored, duplicate or rejected; nothing is written")                             \
        X(URL, "url", "http://HOST:PORT", "the daemon's status address (default: http.listen)")              \
        X(ONCE, "once", NULL, "print once and exit (default if stdout is not a terminal, or TERM=dumb)")

enum argument_option {
#define X(name, text, value, doc) OPTION_##name,
        OPTION_MAP(X)
#undef X
                OPTIONS
};

/* The command line. Strings point into argv, except for the overrides. */
struct arguments {
        const char *config_path; /* --config, or NULL */
        /* values of --set; owned copies, the originals are overwritten */
        char *overrides[ARGUMENTS_OVERRIDES_MAX];
        size_t overrides_len;
        const char *options[OPTIONS]; /* the value; "" for a flag; NULL if absent */
        char **words;                 /* the subcommand and its operands */
        int words_len;
        char *faulty; /* the argument at which parsing stopped, or NULL */
        bool help;    /* --help, -h, or the command "help" (which is no longer among the words) */
        bool version; /* --version, -V */
};

/* "--yes" */
const char *argument_option_name(enum argument_option option);

/* Returns -1, or the exit status 2 after printing the error. The caller deinitialises *ret in either case. */
int arguments_parse(struct arguments *ret, int argc, char **argv);

void arguments_deinit(struct arguments *a);

/* Prints a usage error, about @word unless NULL; returns the exit status 2. */
int arguments_usage(const char *what, const char *word);

/* Prints the help of one command to standard output: @usage ("report [--account ID] ..."), the options in
 * the bit set @options, then @doc. */
void arguments_help(const char *usage, unsigned options, const char *doc);

#endif
