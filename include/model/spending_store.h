#ifndef MODEL_SPENDING_STORE_H
#define MODEL_SPENDING_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

/* The SQL with which the daemon stores spending records, for pg_conn. */

/* How long a transaction waits for a lock before it fails with 55P03. */
enum lock_wait {
        LOCK_WAIT_LONG,  /* 1 s */
        LOCK_WAIT_BRIEF, /* 100 ms: another session is known to hold a lock */
        LOCK_WAITS,
};

/* --- COPY --- */

/* For pg_conn_command: a transaction with a binary COPY of the columns id, ad_object_id, collected_at,
 * period_start, period_end, amount_cents, currency, impressions, clicks, conversions, metrics. Fails with
 * SPENDING_ROW_TRIGGERS if the table has triggers that could change or drop rows. */
extern const char *const spending_copy_sql[LOCK_WAITS];

/* The COPY alone, for benchmarks. */
extern const char spending_bare_copy_sql[];

/* The SQLSTATE of a function that got an argument out of range; no other statement here can raise it. A procedure could
 * raise a code of our own, but would take five times as long. */
#define SPENDING_ROW_TRIGGERS "2201G"

/* To be run once in each session before spending_copy_sql. */
extern const char spending_prepare_sql[];

/* As spending_copy_sql, but allows such triggers and leaves the transaction open: the caller compares the
 * stored rows before COMMIT. */
extern const char *const spending_open_copy_sql[LOCK_WAITS];

/* For pg_conn_command: spending_copy_sql in a transaction that itself checks that the rows' ad objects
 * exist, so that the foreign key's trigger need not. Call _begin, _add for each of the distinct @objects,
 * then _end, which appends a NUL. Fails with 23503 if an object is missing. */
void spending_checked_copy_begin(struct buf *out, enum lock_wait wait);
void spending_checked_copy_add(struct buf *out, const struct uuid *ad_object_id);
void spending_checked_copy_end(struct buf *out, size_t objects);

/* For pg_conn_query: a text that says why this role or this table cannot use spending_checked_copy; "" if
 * they can. */
extern const char spending_checked_copy_obstacle_sql[];

/* --- merge --- */

/* For pg_conn_command: begins the transaction of a merge. Two concurrent merges of rows keyed by id alone
 * would not see each other's rows, so the second waits until the first ends. Answer, as text: "t" if the
 * table has triggers that could change or drop rows, else "f". */
extern const char *const spending_merge_begin_sql[LOCK_WAITS];
extern const char *const spending_merge_ids_begin_sql[LOCK_WAITS];

/* For pg_conn_query: inserts the rows that are not stored yet. Parameters: one array per column, in the
 * order of spending_copy_sql. Inserts in key order, so that two such statements cannot deadlock. Answer: the
 * number, from 1, of each inserted row (int4); of several rows with one key, the first. NULL stands for an
 * inserted key that was not given: the database changes what it stores. */
extern const char spending_merge_sql[];

/* As spending_merge_sql, for rows keyed by id alone: a row counts as stored if any row has its id, whatever
 * that row's collected_at. Searches every chunk for every row. */
extern const char spending_merge_ids_sql[];

/* Writes to @out a statement for pg_conn_query, NUL-terminated, that compares the rows with those stored under
 * their keys. @first_us and @last_us: the first and the last collected_at, microseconds since the Unix epoch.
 * Parameters: those of spending_merge_sql. Answer: each row's number, from 1 (int4), and true if the stored row
 * is the same, false if it differs, NULL if there is none. Metrics are compared as text: 1 is not 1.0. */
void spending_compare(struct buf *out, int64_t first_us, int64_t last_us);

/* As spending_compare, by id alone, whatever the collected_at. Parameters: those of spending_merge_sql. */
extern const char spending_compare_ids_sql[];

/* --- probe --- */

/* For pg_conn_query, without parameters: probe rows. They are made up, as ordinary as possible, for ad
 * objects that nobody has locked; if the operator's rules refuse these, they are copies of stored rows. */
enum spending_probe_column {
        SPENDING_PROBE_OBJECT,   /* uuid */
        SPENDING_PROBE_START_US, /* int8, microseconds since the Unix epoch */
        SPENDING_PROBE_END_US,
        SPENDING_PROBE_NOW_US, /* collected_at */
        SPENDING_PROBE_AMOUNT, /* int8 */
        SPENDING_PROBE_CURRENCY,
        SPENDING_PROBE_IMPRESSIONS, /* int8 or NULL */
        SPENDING_PROBE_CLICKS,
        SPENDING_PROBE_CONVERSIONS,
        SPENDING_PROBE_METRICS, /* text or NULL */
        SPENDING_PROBE_ID,      /* uuid, newly generated */
};
extern const char spending_probe_made_sql[];
extern const char spending_probe_stored_sql[];

/* For pg_conn_command: writes to @out the text, with its NUL, of a binary COPY of one probe row that is
 * rolled back. Deferred triggers run before the rollback. Fails with 39P01 if the row is not stored as
 * given: under this @id and @collected_at_us, with this @amount_cents. */
void spending_probe_copy(struct buf *out, const struct uuid *id, int64_t collected_at_us,
                         int64_t amount_cents, enum lock_wait wait);

#endif
