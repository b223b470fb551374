#ifndef PIPELINE_PARTS_H
#define PIPELINE_PARTS_H

#include <stdbool.h>

#include "daemon/pipeline.h"

/* Between pipeline.c and the other files pipeline_*.c. */

enum { PIPELINE_LITTLE_LINES = 16 }; /* a client that has so few lines here sends little */

/* Takes over a line and sends it into the stages. */
void pipeline_route_take(struct pipeline *p, struct line *line);

/* False if clients with lines that are searched for a bad one, or that are retried from time to time, must wait. */
bool pipeline_has_room_for_doubtful(const struct pipeline *p);

/* True if the memory limit pauses all clients, but not for long. */
bool pipeline_memory_full(const struct pipeline *p);

/* True if the stages have room for any line, including one of the spool. */
bool pipeline_stages_have_room(const struct pipeline *p);

/* --- pipeline_overflow.c --- */

/* Returns 0, or a code of enum err after logging the reason. */
int pipeline_open_overflow(struct pipeline *p);

/* --- pipeline_trust.c --- */

/* A row of @source alone could not be written, while others could. */
void pipeline_note_fault(struct pipeline *p, struct line_source *source);

/* With whose rows those of @source are gathered now. */
enum batcher_sender pipeline_sender(const struct pipeline *p, const struct line_source *source);

/* False if @s is new and must wait until its rows, or those of others, are stored. */
bool pipeline_has_room_for_new(const struct pipeline *p, const struct session *s);

/* --- pipeline_doubt.c --- */

void pipeline_open_doubt(struct pipeline *p);

/* The line is in a batch that is searched for a bad one, or is retried from time to time. */
void pipeline_mark_doubtful(struct line *line);
void pipeline_mark_resting(struct pipeline *p, struct line *line);

/* The line has left them. */
void pipeline_unmark(struct pipeline *p, struct line *line);

/* True if doubtful lines of @source are not tried any longer. */
bool pipeline_gives_up(const struct pipeline *p, const struct line_source *source);

/* Takes over a line that is not tried any longer: it goes to the spool if its client waits for an ack. */
void pipeline_give_up_take(struct pipeline *p, struct line *line);

/* True if the line, which alone cannot be written now, may wait. */
bool pipeline_may_rest(struct pipeline *p, const struct line *line);

/* Takes over a batch that a writer returns. */
void pipeline_return_take(struct pipeline *p, struct batch *batch);

/* The daemon is stopping: from now on the search for bad rows has limits of time. */
void pipeline_stop_searching(struct pipeline *p);

/* --- pipeline_crowding.c --- */

/* Starts the timer that frees connections for look-ups and hierarchy. */
void pipeline_open_crowding(struct pipeline *p);

/* --- pipeline_stats.c --- */

/* True if lines can be stored, as far as is known. */
bool pipeline_database_up(const struct pipeline *p);

#endif
