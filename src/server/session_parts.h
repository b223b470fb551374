#ifndef SESSION_PARTS_H
#define SESSION_PARTS_H

#include "server/session.h"

/* Between session.c, session_end.c, session_first.c, session_source.c, session_states.c and session_stats.c. */

/* Steps to @state, or into @place; the tables in session_states.c list what may follow what. */
void session_enter(struct session *s, enum session_state state);
void session_move(struct session *s, enum session_place place);

size_t session_replies_pending(const struct session *s);
bool session_has_unread_replies(const struct session *s);
bool session_may_begin_lines(const struct session *s);

/* For the line_source of a session. */
extern const struct line_source_ops session_source_ops;

/* True if all received lines are settled. */
bool session_settled(const struct session *s);

/* Looks at what a client sends first, before it is split into lines, and at its lines before the first one that
 * may be a record. Returns true if the client speaks another protocol and was turned away. */
bool session_first_bytes(struct session *s);
bool session_first_line(struct session *s, enum frame_result result, struct slice line);

/* Schedules session_flush for the end of the loop turn. */
void session_mark_dirty(struct session *s);

/* Appends an ack of what is settled now to the replies. */
void session_say_ack(struct session *s);

/* Closes the connection; received lines are still processed. */
void session_close(struct session *s);

/* The connection is closed: keeps the lines that wait for room, unless such lines fill their share of the memory. */
void session_leave(struct session *s);

/* Counts the memory of such lines, or no longer counts it. */
void session_count_left(struct session *s);

#endif
