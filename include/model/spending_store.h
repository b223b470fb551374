#ifndef MODEL_SPENDING_STORE_H
#define MODEL_SPENDING_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

/* The statements by which the daemon stores spending records, for pg_conn. */

/* --- COPY --- */

/* For pg_conn_command: a transaction with a binary COPY of the columns id, ad_object_id, collected_at, period_start,
 * period_end, amount_cents, currency, impressions, clicks, conversions, metrics. It fails with
 * SPENDING_ROW_TRIGGERS where the table has triggers that could change or drop rows. */
extern const char spending_copy_sql[];

/* The COPY alone, for measurements. */
extern const char spending_bare_copy_sql[];

/* Of a function with an argument out of range, which nothing here calls. An error that a procedure raises could have a code
 * of its own, but it takes the server five times as long to look. */
#define SPENDING_ROW_TRIGGERS "2201G"

/* To be run once in each session before spending_copy_sql. */
extern const char spending_prepare_sql[];

/* The same with any triggers, and the transaction is left open: what became of the rows is to be looked at before
 * COMMIT. */
extern const char spending_open_copy_sql[];

/* For pg_conn_command: spending_copy_sql in a transaction that looks for the rows' ad objects itself, so that
 * no trigger has to: _begin, _add for each of the distinct @objects, _end, which ends the text with a NUL.
 * Fails with 23503 where one is missing. */
void spending_checked_copy_begin(struct buf *out);
void spending_checked_copy_add(struct buf *out, const struct uuid *ad_object_id);
void spending_checked_copy_end(struct buf *out, size_t objects);

/* For pg_conn_query: a text, "" or why this role, or this table, cannot have spending_checked_copy. */
extern const char spending_checked_copy_obstacle_sql[];

/* --- merge --- */

/* For pg_conn_command: begins a merge's transaction. Two merges of rows of which only the id counts would not see
 * each other's, so the second waits for the first one's end. Answer, as text: "t" where the table has triggers that could
 * change or drop rows, else "f". */
extern const char spending_merge_begin_sql[];
extern const char spending_merge_ids_begin_sql[];

/* For pg_conn_query: inserts the rows that are not there yet. Parameters: an array a column, in the order of
 * spending_copy_sql. Rows go in by the order of their keys, so that two such statements cannot wait for each other in a
 * circle. Answer: the number, from 1, of each row that was inserted (int4); of several rows with one key the first is.
 * NULL for a key that was inserted and is none of these: the database changes what it stores. */
extern const char spending_merge_sql[];

/* The same for rows of which only the id counts: a row is there already when any row of that id is, whatever its
 * collected_at. It looks into each chunk for each row. */
extern const char spending_merge_ids_sql[];

/* For pg_conn_query: what is stored under the rows' keys. Parameters: those of spending_merge_sql, then the first and
 * the last collected_at. Answer: each row's number, from 1 (int4), and true where the same is stored, false where
 * something else is, NULL where nothing is. Metrics are the same if they read the same: 1 is not 1.0. */
extern const char spending_compare_sql[];

/* The same by ids, whatever the collected_at. Parameters: those of spending_merge_sql. */
extern const char spending_compare_ids_sql[];

/* --- probe --- */

/* For pg_conn_query, without parameters: rows that are as ordinary as can be, made up, of ad objects that nobody has
 * locked; or, where rules of the operator's refuse these, copies of rows that are stored. */
enum spending_probe_column {
        SPENDING_PROBE_OBJECT,   /* uuid */
        SPENDING_PROBE_START_US, /* int8, microseconds since the Unix epoch, as the next two */
        SPENDING_PROBE_END_US,
        SPENDING_PROBE_NOW_US, /* collected_at */
        SPENDING_PROBE_AMOUNT, /* int8 */
        SPENDING_PROBE_CURRENCY,
        SPENDING_PROBE_IMPRESSIONS, /* int8 or NULL, as the next two */
        SPENDING_PROBE_CLICKS,
        SPENDING_PROBE_CONVERSIONS,
        SPENDING_PROBE_METRICS, /* text or NULL */
        SPENDING_PROBE_ID,      /* uuid, a new one */
};
extern const char spending_probe_made_sql[];
extern const char spending_probe_stored_sql[];

/* For pg_conn_command: the text, with its NUL, of a binary COPY of one row that is rolled back. Deferred triggers speak up
 * before the end, too. It fails with 39P01 where the row is not stored as given: under this @id and @collected_at_us, with
 * this @amount_cents. */
void spending_probe_copy(struct buf *out, const struct uuid *id, int64_t collected_at_us,
                         int64_t amount_cents);

#endif
