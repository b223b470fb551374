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

/* A line on its way, and where it came from. Whoever holds one settles it exactly once. */
struct line {
        struct block *block; /* where its bytes are; the line holds a reference */
        struct slice text;   /* as it was sent, in the block */
        struct rules
                *client; /* of its sender, of which the line holds a reference; NULL: there are no rules */
        void *origin;    /* who sent it: a session, or where drained a struct spool_line */
        uint64_t number; /* of that session, from 1 */
        struct receipt receipt;
        bool drained;  /* it comes out of the spool */
        bool doubtful; /* it is counted as in a doubtful batch, by the pipeline */
        bool resting;  /* it is counted as in a resting batch, by the pipeline */
};

/* The line is over: gives back its block and its client. */
void line_release(struct line *line);

/* Who sent a line, for people. */
struct line_from {
        const char *peer;    /* borrowed */
        uint64_t connection; /* the daemon's n-th */
        uint64_t line;       /* of that connection, from 1 */
        const char *client;  /* its section's name, borrowed; NULL or "" for none */
};

/* Takes over the line's fate: tells its origin, lets its memory go. @reject is given for LINE_REJECTED only.
 */
typedef void line_settle_cb(void *ctx, struct line *line, enum line_outcome outcome,
                            const struct reject *reject);

/* Takes over a line that nobody settled. */
typedef void line_take_cb(void *ctx, struct line *line);

#endif
