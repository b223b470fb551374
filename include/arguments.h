#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum { ARGUMENTS_OVERRIDES_MAX = 64 };

/* The command line. Strings borrow argv, but for the overrides. */
struct arguments {
        const char *config_path;                  /* --config, or NULL */
        char *overrides[ARGUMENTS_OVERRIDES_MAX]; /* --set; owned copies, the originals are blotted out */
        size_t overrides_len;
        const char *id; /* --id, or NULL */
        bool status;    /* --status */
        char **words;   /* the subcommand and its operands */
        int words_len;
};

/* Returns -1, or the exit status where there is nothing to run (help, version, wrong usage), once that is
 * told. *ret is to be deinitialised in either case. */
int arguments_parse(struct arguments *ret, int argc, char **argv);

void arguments_deinit(struct arguments *a);

/* Tells what is wrong with the usage, about @word where it is not NULL; returns the exit status 2. */
int arguments_usage(const char *what, const char *word);

#endif
