#ifndef WRITER_INTERNAL_H
#define WRITER_INTERNAL_H

#include "spending/writer.h"

/* Between writer.c, which writes a batch, writer_merge.c, which merges one, and writer_errors.c, which decides what to do
 * about one that failed. */

/* Steps to @state: which may follow which, the table in writer_states.c says. */
void writer_enter(struct writer *w, enum writer_state state);

/* Tries the batch in hand, again. */
void writer_start_batch(struct writer *w);

/* Sends @sql with the first @arrays_len of w->arrays. */
void writer_query_arrays(struct writer *w, const char *sql, int arrays_len);

/* The batch in hand is no more the writer's. */
struct batch *writer_detach_batch(struct writer *w);

/* Gives the batch in hand back, to be written later, or frees it where nothing is left of it. */
void writer_return_batch(struct writer *w);

/* There is no batch in hand. */
void writer_become_idle(struct writer *w);

/* --- writer_merge.c --- */

/* Begins the transaction that merges the batch in hand. */
void writer_start_merge(struct writer *w);

/* Inserts the rows that are not stored yet. */
void writer_send_merge(struct writer *w);

/* Asks what is stored under the keys of the chosen rows of w->fates. */
void writer_send_compare(struct writer *w);

/* Ends the transaction: @how is COMMIT or ROLLBACK. */
void writer_send_end(struct writer *w, enum writer_state how);

/* The results of MERGE, COMPARE and ELSEWHERE. */
void writer_on_merged(struct writer *w, const struct pg_result *res);
void writer_on_compared(struct writer *w, const struct pg_result *res);
void writer_on_elsewhere(struct writer *w, const struct pg_result *res);

/* --- writer_errors.c --- */

/* The batch in hand failed with w->error; no transaction is open. */
void writer_on_error(struct writer *w);

/* The batch in hand cost several connections: is it this batch, or the server? */
void writer_ask_for_proof(struct writer *w);

/* Gives the connection up over w->error: the batch comes back with it. */
void writer_give_up(struct writer *w);

/* The ad objects of the batch in hand were locked: are they still? */
void writer_find_locked(struct writer *w);

/* The results of LOCKED, MISSING, CANDIDATES and PROBE. */
void writer_on_locked(struct writer *w, const struct pg_result *res);
void writer_on_missing(struct writer *w, const struct pg_result *res);
void writer_on_candidates(struct writer *w, const struct pg_result *res);
void writer_on_probed(struct writer *w, const struct pg_result *res);

#endif
