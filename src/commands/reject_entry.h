#ifndef REJECT_ENTRY_H
#define REJECT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <sys/types.h>

#include "base/buf.h"
#include "base/json.h"
#include "commands/commands.h"

/* The entries of a reject file (daemon/reject_file.h), read one by one. */

struct reject_entry {
        int64_t time_us; /* 0: none that can be read */
        const char *code;
        const char *field; /* "" for none, here and below */
        const char *message;
        const char *account;  /* the external id of the ad account that the record names */
        const char *platform; /* as the record has it */
        const char *client;   /* the name of the sender's section */
        struct slice record;  /* the line as it was sent; ptr NULL if the file does not have all of it */
};

/* What stands in the file when it is opened is read; a daemon may be appending to it. */
struct reject_entries_file {
        FILE *stream;
        off_t left;
        char *line;
        size_t line_cap;
        struct json_scratch scratch;
        struct buf texts;   /* of the entry */
        uint64_t entries;   /* read */
        uint64_t strangers; /* lines that are no entries */
        int error;          /* errno, if not all of it could be read */
};

/* 0, or FAILED once it is told; to be closed in either case. */
int reject_entries_open(struct reject_entries_file *f, const char *path);

void reject_entries_close(struct reject_entries_file *f);

/* False at the end. *ret borrows @f until the next call. */
bool reject_entries_next(struct reject_entries_file *f, struct reject_entry *ret);

/* Which entries are wanted. */
struct reject_filter {
        const struct reject_options *options;
        int64_t from_us;
        int64_t to_us; /* excluded */
};

/* 0, or USAGE once it is told. */
int reject_filter_read(const struct reject_options *options, struct reject_filter *ret);

bool reject_filter_passes(const struct reject_filter *filter, const struct reject_entry *entry);

#endif
