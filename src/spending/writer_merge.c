/* Merges a batch with rows that may already be stored: BEGIN; INSERT ... ON CONFLICT DO NOTHING, which
 * returns what it inserted; a comparison of the remaining rows with what is stored; COMMIT. If most rows are
 * likely to be stored, they are compared first, and only those that are not stored are inserted. Rows of an open
 * COPY are compared in the same way. If the database changes what it stores, nothing is settled. */
#include "model/db.h"
#include "model/spending_store.h"
#include "pg/pg_array.h"
#include "pg/pg_params.h"
#include "spending/writer_internal.h"

/* How often rows that were neither inserted nor found are merged: if a trigger may drop them, and if there is none. */
enum { DROPPED_MERGES = 3, DELETED_MERGES = 100 };

void writer_query_arrays(struct writer *w, const char *sql, int arrays_len)
{
        struct pg_params params = {0};

        pg_params_add_bufs(&params, w->arrays, arrays_len);
        pg_conn_query(&w->conn, sql, &params);
}

void writer_start_merge(struct writer *w)
{
        writer_enter(w, WRITER_BEGIN);
        pg_conn_command(&w->conn, w->batch->any_time ? spending_merge_ids_begin_sql[w->wait]
                                                     : spending_merge_begin_sql[w->wait]);
}

/* Inserts the chosen rows that are not stored yet. */
static void send_merge(struct writer *w)
{
        writer_enter(w, WRITER_MERGE);
        copy_format_arrays(w->arrays, w->batch->rows, w->fates.asked, w->fates.asked_len);
        writer_query_arrays(w, w->batch->any_time ? spending_merge_ids_sql : spending_merge_sql,
                            COPY_FORMAT_ARRAYS);
}

void writer_send_end(struct writer *w, enum writer_state how)
{
        writer_enter(w, how);
        pg_conn_command(&w->conn, how == WRITER_COMMIT ? "COMMIT" : "ROLLBACK");
}

static int by_time(const void *a, const void *b, void *ctx)
{
        const struct row *rows = ctx;
        int64_t x = rows[*(const uint32_t *)a].rec.collected_at;
        int64_t y = rows[*(const uint32_t *)b].rec.collected_at;

        return (x > y) - (x < y);
}

/* Compares rows of one week: the plan of each statement has one chunk, while a plan for all rows would
 * search every chunk of the batch for each row. */
static void send_compare_week(struct writer *w)
{
        const struct row *rows = w->batch->rows;
        const uint32_t *next = w->fates.asked + w->fates.asked_len;
        size_t left = fates_left(&w->fates);
        size_t n = 1;

        while (n < left && n < PG_ARRAY_LEN_BEST &&
               row_order_week(rows[next[n]].rec.collected_at) ==
                       row_order_week(rows[next[0]].rec.collected_at))
                n++;
        fates_ask_next(&w->fates, n);
        copy_format_arrays(w->arrays, rows, w->fates.asked, n);
        spending_compare(&w->out, rows[next[0]].rec.collected_at, rows[next[n - 1]].rec.collected_at);
        writer_query_arrays(w, w->out.data, COPY_FORMAT_ARRAYS);
}

static void send_compare_weeks(struct writer *w)
{
        fates_sort(&w->fates, by_time, w->batch->rows);
        send_compare_week(w);
}

/* Reads what is stored under the chosen rows' keys. */
void writer_send_compare(struct writer *w)
{
        writer_enter(w, WRITER_COMPARE);
        if (w->batch->any_time) {
                copy_format_arrays(w->arrays, w->batch->rows, w->fates.asked, w->fates.asked_len);
                writer_query_arrays(w, spending_compare_ids_sql, COPY_FORMAT_ARRAYS);
                return;
        }
        send_compare_weeks(w);
}

/* Rows that are not stored were dropped, unless they are stored under other keys. */
static void send_elsewhere(struct writer *w)
{
        writer_enter(w, WRITER_ELSEWHERE);
        copy_format_arrays(w->arrays, w->batch->rows, w->fates.asked, w->fates.asked_len);
        writer_query_arrays(w, spending_compare_ids_sql, COPY_FORMAT_ARRAYS);
}

/* The database changes what it stores: no row is settled. */
static void fail_changed(struct writer *w)
{
        w->error = PG_ERROR(SQLSTATE_TRIGGER_PROTOCOL, DB_CHANGES);
        writer_send_end(w, WRITER_ROLLBACK);
}

/* The rows are deleted as soon as they are stored: the batch is retried. */
static void fail_deleted(struct writer *w)
{
        w->error = PG_ERROR("40001", "another session deleted its rows repeatedly");
        writer_send_end(w, WRITER_ROLLBACK);
}

void writer_on_begun(struct writer *w)
{
        bool compare =
                w->habit == WRITER_COMPARES && !w->batch->any_time && !w->copied && w->row_triggers == 0;

        w->merges = 1;
        fates_begin(&w->fates, w->batch->len);
        fates_ask(&w->fates, FATE_OPEN);
        if (!compare) {
                send_merge(w);
                return;
        }
        writer_enter(w, WRITER_KNOWN);
        send_compare_weeks(w);
}

void writer_on_known(struct writer *w, const struct pg_result *res)
{
        if (!fates_read_compare(&w->fates, res, FATE_OPEN))
                fail_changed(w);
        else if (fates_left(&w->fates) > 0)
                send_compare_week(w);
        else if (fates_ask(&w->fates, FATE_OPEN))
                send_merge(w);
        else
                writer_send_end(w, WRITER_COMMIT);
}

void writer_on_merged(struct writer *w, const struct pg_result *res)
{
        if (!fates_read_merge(&w->fates, res))
                fail_changed(w);
        else if (fates_ask(&w->fates, w->row_triggers > 0 ? FATE_ANY : FATE_OPEN))
                writer_send_compare(w);
        else
                writer_send_end(w, WRITER_COMMIT);
}

static bool is_open_copy(const struct writer *w)
{
        return w->copied && !w->batch->copied;
}

/* True if the rows that COPY stored in the open transaction are there as sent. */
static bool is_as_copied(const struct writer *w)
{
        return fates_count(&w->fates, FATE_CONFLICT) == 0 &&
               (w->batch->copied || fates_count(&w->fates, FATE_SAME) == w->copied_rows);
}

/* Merges once more the rows that were neither inserted nor found. Without a trigger that drops rows, another session deleted them
 * in between. Returns false if there are none, or if such a trigger drops them each time. */
static bool merge_again(struct writer *w)
{
        unsigned merges_max = w->row_triggers > 0 ? DROPPED_MERGES : DELETED_MERGES;

        if (fates_count(&w->fates, FATE_ABSENT) == 0 || w->merges >= merges_max)
                return false;
        w->merges++;
        fates_reopen(&w->fates);
        fates_ask(&w->fates, FATE_OPEN);
        send_merge(w);
        return true;
}

void writer_on_compared(struct writer *w, const struct pg_result *res)
{
        if (!fates_read_compare(&w->fates, res, FATE_ABSENT))
                fail_changed(w);
        else if (fates_left(&w->fates) > 0)
                send_compare_week(w);
        else if (w->copied && !is_as_copied(w))
                fail_changed(w);
        else if (!is_open_copy(w) && merge_again(w))
                return;
        else if (w->row_triggers == 0 && fates_count(&w->fates, FATE_ABSENT) > 0)
                fail_deleted(w);
        else if (fates_ask(&w->fates, FATE_ABSENT))
                send_elsewhere(w);
        else
                writer_send_end(w, WRITER_COMMIT);
}

void writer_on_elsewhere(struct writer *w, const struct pg_result *res)
{
        if (fates_read_elsewhere(&w->fates, res))
                writer_send_end(w, WRITER_COMMIT);
        else
                fail_changed(w);
}
