#ifndef WRITER_INTERNAL_H
#define WRITER_INTERNAL_H

#include "spending/writer.h"

/* Between writer.c, which writes a batch, writer_merge.c, which merges one, and writer_errors.c, which decides what to do
 * about one that failed. */

/* Steps to @state; the table in writer_states.c lists what may follow what. */
void writer_enter(struct writer *w, enum writer_state state);

/* Tries the current batch (again). */
void writer_start_batch(struct writer *w);

/* Sends @sql with the first @arrays_len of w->arrays. */
void writer_query_arrays(struct writer *w, const char *sql, int arrays_len);

/* Returns the current batch, which the caller then owns. */
struct batch *writer_detach_batch(struct writer *w);

/* Returns the current batch to the queue, or frees it if it is empty. */
void writer_return_batch(struct writer *w);

/* There must be no current batch. */
void writer_become_idle(struct writer *w);

/* --- writer_merge.c --- */

/* Begins the transaction that merges the current batch. */
void writer_start_merge(struct writer *w);

/* The transaction is open: reads which rows are stored, if most are, or merges all of them. */
void writer_on_begun(struct writer *w);

/* Reads what is stored under the keys of the chosen rows of w->fates. */
void writer_send_compare(struct writer *w);

/* Ends the transaction: @how is COMMIT or ROLLBACK. */
void writer_send_end(struct writer *w, enum writer_state how);

/* Handle the results of KNOWN, MERGE, COMPARE and ELSEWHERE. */
void writer_on_known(struct writer *w, const struct pg_result *res);
void writer_on_merged(struct writer *w, const struct pg_result *res);
void writer_on_compared(struct writer *w, const struct pg_result *res);
void writer_on_elsewhere(struct writer *w, const struct pg_result *res);

/* --- writer_errors.c --- */

/* How long the current batch, or a probe row, waits for locks. */
enum lock_wait writer_lock_wait(const struct writer *w);

/* The current batch failed with w->error; no transaction is open. */
void writer_on_error(struct writer *w);

/* Several connections were lost with the current batch: finds out whether batch or server is at fault. */
void writer_ask_for_proof(struct writer *w);

/* Drops the connection because of w->error; the batch is returned. */
void writer_give_up(struct writer *w);

/* The current batch's ad objects were locked: checks whether they still are. */
void writer_find_locked(struct writer *w);

/* Handle the results of states LOCKED, MISSING, CANDIDATES and PROBE. */
void writer_on_locked(struct writer *w, const struct pg_result *res);
void writer_on_missing(struct writer *w, const struct pg_result *res);
void writer_on_candidates(struct writer *w, const struct pg_result *res);
void writer_on_probed(struct writer *w, const struct pg_result *res);

#endif
