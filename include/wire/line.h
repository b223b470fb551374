#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/slice.h"
#include "wire/acks.h"
#include "wire/receipt.h"
#include "wire/reject.h"

struct rules;

/* A line being processed, and its origin. Its holder settles it exactly once. */
struct line {
        struct block *block; /* contains the line's bytes; the line holds a reference */
        struct slice text;   /* as sent; points into the block */
        struct rules
                *client; /* of its sender, of which the line holds a reference; NULL: there are no rules */
        void *origin;    /* a session, or for a replayed line a struct spool_line */
        uint64_t number; /* line number within the session, from 1 */
        struct receipt receipt;
        bool drained;  /* the line was read from the spool */
        bool doubtful; /* the pipeline has counted it in a doubtful batch */
        bool resting;  /* the pipeline has counted it in a resting batch */
};

/* The line is over: gives back its block and its client. */
void line_release(struct line *line);

/* Who sent a line, for messages. */
struct line_from {
        const char *peer;    /* borrowed */
        uint64_t connection; /* number of the connection, counted from the daemon's start */
        uint64_t line;       /* line number within that connection, from 1 */
        const char *client;  /* its section's name, borrowed; NULL or "" for none */
};

/* Settles a line: notifies its origin and releases its memory. @reject is set for LINE_REJECTED only. */
typedef void line_settle_cb(void *ctx, struct line *line, enum line_outcome outcome,
                            const struct reject *reject);

/* Takes over an unsettled line. */
typedef void line_take_cb(void *ctx, struct line *line);

#endif
