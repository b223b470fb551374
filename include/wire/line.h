#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/slice.h"
#include "wire/acks.h"
#include "wire/receipt.h"
#include "wire/reject.h"

struct rules;

/* A line being processed, and its origin. Its holder settles it exactly once. */
struct line {
        struct block *block;         /* contains the line's bytes; the line holds a reference */
        struct slice text;           /* as sent; points into the block */
        struct rules *client;        /* the sender's rules; the line holds a reference; NULL: no rules */
        struct line_source *source;  /* a session, or the spool */
        struct spool_line *in_spool; /* its place there, if that is its source; else NULL */
        uint64_t number;             /* of the client's connection, from 1 */
        struct receipt receipt;
        bool doubtful; /* the pipeline has counted it in a doubtful batch */
        bool resting;  /* the pipeline has counted it in a resting batch */
};

/* Who sent a line, for messages. */
struct line_from {
        const char *peer;    /* borrowed */
        uint64_t connection; /* number of the connection, counted from the daemon's start */
        uint64_t line;       /* line number within that connection, from 1 */
        const char *client;  /* its section's name, borrowed; NULL or "" for none */
};

struct line_source_ops {
        /* The line is settled; @reject is given for LINE_REJECTED only. */
        void (*settle)(struct line_source *source, const struct line *line, enum line_outcome outcome,
                       const struct reject *reject);
        /* Nobody will settle the line. */
        void (*give_up)(struct line_source *source, const struct line *line);
        struct line_from (*from)(const struct line_source *source, const struct line *line);
        /* The daemon acked these lines before. They are older than those of other sources, and no client gets a reply if
         * one is rejected. */
        bool acked;
};

/* Lines of all sources of a kind. */
struct line_tally {
        uint64_t counts[LINE_OUTCOMES]; /* settled */
        uint64_t in_flight;             /* not settled */
        uint64_t unknown;               /* of these, waiting for an unknown object */
        uint64_t resting;               /* lines in flight that are retried from time to time */
        uint64_t abandoned;             /* given up */
};

/* Embedded in whatever hands lines to the stages. */
struct line_source {
        const struct line_source_ops *ops;
        struct line_tally *tally; /* of its kind */
        uint64_t last_hierarchy;  /* the hierarchy batch of its latest hierarchy line; 0: none */
        uint64_t in_flight;       /* its lines that are not settled */
        size_t unknown;           /* of these, waiting for an unknown object */
        size_t doubtful;          /* lines in batches that are searched for a bad line */
        uint64_t clean;           /* rows that the database took, or had already */
        bool gone;                /* its client has closed the connection: nobody reads replies */
        bool lacks_line;          /* it has, and one of its lines was dropped */
        uint64_t fault_ms; /* loop time at which one of its lines was last found to be at fault; 0: never */
};

/* A line of the source begins its way. */
static inline void line_begin(struct line_source *source)
{
        source->tally->in_flight++;
        source->in_flight++;
}

/* The line's end: counts it, reports it to its source, lets its memory go. */
void line_settle(struct line *line, enum line_outcome outcome, const struct reject *reject);

/* The same for a line that nobody will settle. */
void line_give_up(struct line *line);

/* For what takes over the line's outcome. @reject is given for LINE_REJECTED only. */
typedef void line_settle_cb(void *ctx, struct line *line, enum line_outcome outcome,
                            const struct reject *reject);

/* Takes over an unsettled line. */
typedef void line_take_cb(void *ctx, struct line *line);

#endif
