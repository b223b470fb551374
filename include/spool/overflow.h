#ifndef OVERFLOW_H
#define OVERFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "wire/line.h"

/* When lines go to the spool, and when they go to the database again. */

struct pipeline;
struct spool_ops;

/* What the spool of a pipeline is to be opened with; the pipeline is its ctx. */
extern const struct spool_ops overflow_spool_ops;

struct overflow {
        uv_timer_t look;
        bool diverting; /* lines go to the spool; all that lies there goes before them */
        bool advancing; /* the spool gets emptier: drained lines were settled since it began, or stalled */
        uint64_t added_bytes;   /* since then */
        uint64_t drained_bytes; /* likewise */
};

/* The spool is open; without one nothing is ever diverted. */
void overflow_open(struct pipeline *p);
void overflow_close(struct pipeline *p);

/* Whether lines may go into the spool now. */
bool overflow_has_room(const struct pipeline *p);

/* Takes over a good line. */
void overflow_add_take(struct pipeline *p, struct line *line);

/* Takes over a line that the stages gave up: it goes into the spool, or stays there. */
void overflow_keep_take(struct pipeline *p, struct line *line);

/* A drained line is settled, by the stages. */
void overflow_on_settled(struct pipeline *p, struct line *line);

/* The rules of who may write what have changed: what is drained and not settled is drained again. */
void overflow_judge_again(struct pipeline *p);

/* All that is drained and not settled is given up: it stays in the spool. */
void overflow_end(struct pipeline *p);

#endif
