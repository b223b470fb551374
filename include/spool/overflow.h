#ifndef OVERFLOW_H
#define OVERFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "wire/line.h"

/* Decides when lines go to the spool, and when they go to the database again. */

struct pipeline;
struct spool_ops;

/* The callbacks for the spool of a pipeline; their ctx is the pipeline. */
extern const struct spool_ops overflow_spool_ops;

struct overflow {
        uv_timer_t look;
        bool diverting; /* all lines go to the spool, and spooled lines are replayed */
        bool advancing; /* replay makes progress: replayed lines were settled since it began or stalled */
        uint64_t added_bytes;   /* added to the spool since the diversion began */
        uint64_t drained_bytes; /* replayed since the diversion began */
};

/* To be called when the spool is open; without a spool nothing is diverted. */
void overflow_open(struct pipeline *p);
void overflow_close(struct pipeline *p);

/* True if the spool can accept lines now. */
bool overflow_has_room(const struct pipeline *p);

/* Takes over a valid line. */
void overflow_add_take(struct pipeline *p, struct line *line);

/* Takes over a line that the stages gave up: adds it to the spool, or leaves it there. */
void overflow_keep_take(struct pipeline *p, struct line *line);

/* The stages settled a replayed line. */
void overflow_on_settled(struct pipeline *p, struct line *line);

/* The rules of who may write what have changed: what is drained and not settled is drained again. */
void overflow_judge_again(struct pipeline *p);

/* Gives up all replayed, unsettled lines: they stay in the spool. */
void overflow_end(struct pipeline *p);

#endif
