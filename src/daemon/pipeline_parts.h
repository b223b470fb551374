#ifndef PIPELINE_PARTS_H
#define PIPELINE_PARTS_H

#include <stdbool.h>

#include "daemon/pipeline.h"

/* Between pipeline.c, pipeline_crowding.c, pipeline_overflow.c and pipeline_stats.c. */

/* Takes over a line and sends it into the stages. */
void pipeline_route_take(struct pipeline *p, struct line *line);

/* The line has left the lines that are searched for a bad one, or that are retried from time to time. */
void pipeline_unmark(struct pipeline *p, struct line *line);

/* True if the memory limit pauses all clients, but not for long. */
bool pipeline_memory_full(const struct pipeline *p);

/* True if the stages have room for any line, including one of the spool. */
bool pipeline_stages_have_room(const struct pipeline *p);

/* --- pipeline_overflow.c --- */

/* Returns 0, or a code of enum err after logging the reason. */
int pipeline_open_overflow(struct pipeline *p);

/* --- pipeline_crowding.c --- */

/* Begins to look whether the connections that are needed most can be had. */
void pipeline_open_crowding(struct pipeline *p);

/* --- pipeline_stats.c --- */

/* True if lines can be stored, as far as is known. */
bool pipeline_database_up(const struct pipeline *p);

#endif
