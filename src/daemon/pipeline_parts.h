#ifndef PIPELINE_PARTS_H
#define PIPELINE_PARTS_H

#include <stdbool.h>

#include "daemon/pipeline.h"

/* Between pipeline.c, pipeline_crowding.c, pipeline_overflow.c and pipeline_stats.c. */

/* Takes over a line and sends it into the stages. */
void pipeline_route_take(struct pipeline *p, struct line *line);

/* The line has left the lines that are searched for a bad one, or that are retried from time to time. */
void pipeline_unmark(struct pipeline *p, struct line *line);

/* Whether the memory limit keeps all clients waiting, and will not for long. */
bool pipeline_memory_full(const struct pipeline *p);

/* Whether the stages have room for any line, of the spool, too. */
bool pipeline_stages_have_room(const struct pipeline *p);

/* --- pipeline_overflow.c --- */

/* 0, or a code of enum err once the log was told why. */
int pipeline_open_overflow(struct pipeline *p);

/* --- pipeline_crowding.c --- */

/* Begins to look whether the connections that are needed most can be had. */
void pipeline_open_crowding(struct pipeline *p);

/* --- pipeline_stats.c --- */

/* True if lines can be stored, as far as is known. */
bool pipeline_database_up(const struct pipeline *p);

#endif
