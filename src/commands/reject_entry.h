#ifndef REJECT_ENTRY_H
#define REJECT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <sys/types.h>

#include "base/buf.h"
#include "base/json.h"
#include "commands/commands.h"

/* Reads the entries of a reject file (daemon/reject_file.h) one by one. */

struct reject_entry {
        int64_t time_us; /* 0: none, or unreadable */
        const char *code;
        const char *field; /* "" for none, here and below */
        const char *message;
        const char *account;  /* external id of the ad account that the record names */
        const char *platform; /* as in the record */
        const char *client;   /* the name of the sender's section */
        struct slice record;  /* the line as it was sent; ptr NULL if the file does not contain all of it */
};

/* Reads up to the length the file has when opened; a daemon may be appending to it. */
struct reject_entries_file {
        FILE *stream;
        off_t left;
        char *line;
        size_t line_cap;
        struct json_scratch scratch;
        struct buf texts;   /* of the current entry */
        uint64_t entries;   /* number of entries read */
        uint64_t strangers; /* number of lines that are not entries */
        int error;          /* errno if the file could not be read completely */
};

/* Returns 0, or FAILED after printing the error; the caller closes @f in either case. */
int reject_entries_open(struct reject_entries_file *f, const char *path);

void reject_entries_close(struct reject_entries_file *f);

/* Returns false at the end. *ret points into @f and is valid until the next call. */
bool reject_entries_next(struct reject_entries_file *f, struct reject_entry *ret);

/* Which entries to use. */
struct reject_filter {
        const struct reject_options *options;
        int64_t from_us;
        int64_t to_us; /* exclusive */
};

/* Returns 0, or USAGE after printing the error. */
int reject_filter_read(const struct reject_options *options, struct reject_filter *ret);

bool reject_filter_passes(const struct reject_filter *filter, const struct reject_entry *entry);

#endif
