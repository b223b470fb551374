#ifndef DELIVERY_H
#define DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "client/client.h"

/* Shared by the commands that send lines to the daemon: progress on a terminal, rejects, totals, exit
 * status. */

/* Options of the command line; NULL if absent. */
struct delivery_options {
        const char *socket; /* instead of listen.unix */
        const char *tcp;    /* instead of a Unix socket */
        const char *retry;  /* a duration */
        const char *from_line;
        bool json; /* print rejects and totals as JSON lines */
};

struct delivery_source {
        const char *name; /* for display */
        enum client_input (*read)(void *ctx,
                                  struct buf *out); /* as in client_ops; on failure, error is the reason */
        void *ctx;
        int fd;               /* to poll; -1: none */
        uint64_t bytes_total; /* 0: unknown */
        const char *error;
        const char *hello; /* as in client_options */
        bool delivered;    /* set: every line is settled */
};

/* Sends all lines; prints rejects as they become final, then the totals. Returns the exit status. */
int deliver(struct delivery_source *source, const struct config *config,
            const struct delivery_options *options);

#endif
