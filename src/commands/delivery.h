#ifndef DELIVERY_H
#define DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "client/client.h"

/* What the commands share that send lines to the daemon: progress on a terminal, rejects, totals, exit
 * status. */

/* Options of the command line; NULL where one is not given. */
struct delivery_options {
        const char *socket; /* instead of listen.unix */
        const char *tcp;    /* instead of a Unix socket */
        const char *retry;  /* a duration */
        const char *from_line;
        bool json; /* rejects and totals are JSON lines */
};

struct delivery_source {
        const char *name; /* for people */
        enum client_input (*read)(void *ctx,
                                  struct buf *out); /* as in client_ops; error says why it failed */
        void *ctx;
        int fd;               /* that is waited for; -1 for none */
        uint64_t bytes_total; /* 0: nobody knows */
        const char *error;
        const char *hello; /* as in client_options */
        bool delivered;    /* set: every line is settled */
};

/* Sends all lines; prints rejects as they become final, then the totals. Returns the process's exit status.
 */
int deliver(struct delivery_source *source, const struct config *config,
            const struct delivery_options *options);

#endif
