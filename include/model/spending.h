#ifndef MODEL_SPENDING_H
#define MODEL_SPENDING_H

#include <stddef.h>

#include "base/buf.h"
#include "base/uuid.h"

/* The daemon's writing of spending, for pg_conn. */

/* Starts a binary COPY with the columns id, ad_object_id, collected_at, period_start, period_end,
 * amount_cents, currency, impressions, clicks, conversions, metrics. */
extern const char spending_copy_sql[];

/* Inserts the rows that are not there yet. Parameters: an array a column, in the same order, then $12 bool[]:
 * whether a row counts as there already when any row of that id is (whatever its collected_at), an earlier
 * one of this statement included. Rows go in by the order of their keys, so that two such statements cannot
 * wait for each other in a circle. Answer: the number, from 1, of each row that was inserted (int4); of
 * several rows with one key the first is. */
extern const char spending_merge_sql[];

/* For pg_conn_command: spending_copy_sql in a transaction that looks for the rows' ad objects itself, so that
 * no trigger has to: _begin, _add for each of the distinct @objects, _end, which ends the text with a NUL.
 * Fails with 23503 where one is missing. */
void spending_checked_copy_begin(struct buf *out);
void spending_checked_copy_add(struct buf *out, const struct uuid *ad_object_id);
void spending_checked_copy_end(struct buf *out, size_t objects);

/* For pg_conn_query: a text, "" or why this role, or this table, cannot have spending_checked_copy. */
extern const char spending_checked_copy_obstacle_sql[];

/* For pg_conn: commands that insert an ordinary row and roll it back: a made-up one of some ad object or,
 * where that fails, a newly collected copy of one that is stored. Where a row fails and this does not, that
 * row is to blame. */
extern const char spending_probe_sql[];

#endif
