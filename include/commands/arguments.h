#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum { ARGUMENTS_OVERRIDES_MAX = 64 };

/* Options that belong to some commands only: name, and whether a value follows. */
#define OPTION_MAP(X)                                                                                        \
        X(ID, "id", true)                                                                                    \
        X(FILE, "file", true)                                                                                \
        X(YES, "yes", false)                                                                                 \
        X(STATUS, "status", false)                                                                           \
        X(ACCOUNT, "account", true)                                                                          \
        X(PLATFORM, "platform", true)                                                                        \
        X(CONNECTION, "connection", true)                                                                    \
        X(OBJECT, "object", true)                                                                            \
        X(FROM, "from", true)                                                                                \
        X(TO, "to", true)                                                                                    \
        X(BUCKET, "bucket", true)                                                                            \
        X(BY, "by", true)                                                                                    \
        X(LATEST, "latest", false)                                                                           \
        X(EXPLAIN, "explain", false)                                                                         \
        X(FORMAT, "format", true)                                                                            \
        X(SOCKET, "socket", true)                                                                            \
        X(TCP, "tcp", true)                                                                                  \
        X(RETRY, "retry", true)                                                                              \
        X(JSON, "json", false)                                                                               \
        X(URL, "url", true)                                                                                  \
        X(ONCE, "once", false)

enum argument_option {
#define X(name, text, has_value) OPTION_##name,
        OPTION_MAP(X)
#undef X
                OPTIONS
};

/* The command line. Strings borrow argv, but for the overrides. */
struct arguments {
        const char *config_path;                  /* --config, or NULL */
        char *overrides[ARGUMENTS_OVERRIDES_MAX]; /* --set; owned copies, the originals are blotted out */
        size_t overrides_len;
        const char
                *options[OPTIONS]; /* the value, "" where the option has none, NULL where it is not given */
        char **words;              /* the subcommand and its operands */
        int words_len;
};

/* "--yes" */
const char *argument_option_name(enum argument_option option);

/* Returns -1, or the exit status where there is nothing to run (help, version, wrong usage), once that is
 * told. *ret is to be deinitialised in either case. */
int arguments_parse(struct arguments *ret, int argc, char **argv);

void arguments_deinit(struct arguments *a);

/* Tells what is wrong with the usage, about @word where it is not NULL; returns the exit status 2. */
int arguments_usage(const char *what, const char *word);

#endif
