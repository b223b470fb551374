/* The happy path: COPY ... FROM STDIN in binary, one statement and so one transaction a batch; when its
 * result is here, the rows are durable and settled as stored.
 *
 * What can go wrong with a batch is told by the SQLSTATE (sqlstate.c):
 * - a row is there already (23505): the batch goes as INSERT ... ON CONFLICT DO NOTHING, which tells the rows
 *   that it inserted; the others are duplicates. While that goes on finding some, COPY is not tried.
 * - an ad object was deleted (23503, which names no row): ask which ones are gone, take their rows out to be
 *   resolved again, write the rest.
 * - a row that the server refuses: where the error names it, it is taken out, else the batch is halved
 *   until the row stands alone; and that one is refused: k bad rows of n cost O(k log n) statements at the
 *   most, with others' batches in between.
 * - a matter of the server's or the operator's: the connection is given up, the batch returned, and tried
 *   again after a pause.
 * - what passes by itself, a deadlock say: once more, at once, and some ten times in vain it is the next.
 * - anything else: an ordinary row is inserted, and rolled back. If that fails it is the server: the same.
 * Else the batch is tried a few times more, and then as if a row were to blame; but the row that stands alone
 * then is refused only if it fails once more right behind an ordinary one that could be inserted.
 *
 * When the connection is lost the outcome is unknown: the batch is returned and merged later, where the ids
 * tell what was stored. */
#include "spending/writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/ad_object.h"
#include "model/spending.h"
#include "pg/pg_array.h"
#include "pg/sqlstate.h"
#include "wire/refusal.h"

enum {
        PIECE_BYTES =
                128 * 1024, /* handed to libpq at once: between two flushes it holds no more than that */
        RETRIES_MAX = 10,
};

/* Records of which only the id counts (any_time) are looked up before they are inserted; two transactions
 * doing so at the same moment would not see each other, hence the lock. The number is "boris" in ASCII. */
static const char begin_sql[] = "BEGIN";
static const char begin_locked_sql[] = "BEGIN; SELECT pg_advisory_xact_lock(422776564083)";

static void start_batch(struct writer *w);

/* --- settling --- */

static void become_idle(struct writer *w)
{
        w->state = WRITER_IDLE;
        w->ops->on_idle(w->ctx, w);
}

/* The batch has come to its end. */
static void finish_batch(struct writer *w)
{
        pg_conn_served(&w->conn);
        become_idle(w);
}

static struct batch *detach_batch(struct writer *w)
{
        struct batch *b = w->batch;

        w->batch = NULL;
        return b;
}

/* Settles every row, as stored or, where @inserted says so, as a duplicate. */
static void settle_all(struct writer *w, const bool *inserted)
{
        struct batch *b = detach_batch(w);

        w->batches++;
        w->rows += b->len;
        histogram_add(&w->commit, clock_monotonic_us() - w->taken_us, 1);
        for (size_t i = 0; i < b->len; i++)
                w->ops->settle(w->ctx, &b->rows[i].line,
                               !inserted || inserted[i] ? LINE_STORED : LINE_DUPLICATE, NULL);
        batch_free(b);
        finish_batch(w);
}

static void return_batch(struct writer *w)
{
        struct batch *b = detach_batch(w);

        if (b->len > 0)
                w->ops->on_return(w->ctx, b);
        else
                batch_free(b);
}

/* --- COPY --- */

/* Encodes and sends rows until all are sent or the socket takes no more. */
static void send_rows(struct writer *w)
{
        bool more = true;

        while (more && !w->trailer) {
                w->out.len = 0;
                if (w->next_row == 0)
                        copy_format_header(&w->out);
                while (w->next_row < w->batch->len && w->out.len < PIECE_BYTES)
                        copy_format_row(&w->out, &w->batch->rows[row_order_at(&w->order, w->next_row++)].rec);
                if (w->next_row == w->batch->len) {
                        copy_format_trailer(&w->out);
                        w->trailer = true;
                }
                more = pg_conn_put(&w->conn, w->out.data, w->out.len);
        }
        if (more)
                pg_conn_copy_end(&w->conn);
}

static void on_copy_in(void *ctx)
{
        send_rows(ctx);
}

/* The same, the objects looked for first, all at once, instead of by a trigger for each row. */
static void start_checked_copy(struct writer *w)
{
        const struct batch *b = w->batch;
        const struct uuid *last = NULL;
        size_t objects = 0;

        w->arrays[0].len = 0;
        spending_checked_copy_begin(&w->arrays[0]);
        for (size_t i = 0; i < b->len; i++) {
                const struct uuid *object = &b->rows[row_order_at(&w->order, i)].rec.ad_object_id;

                if (last && uuid_eq(object, last))
                        continue;
                spending_checked_copy_add(&w->arrays[0], object);
                last = object;
                objects++;
        }
        spending_checked_copy_end(&w->arrays[0], objects);
        pg_conn_command(&w->conn, w->arrays[0].data);
}

static void start_copy(struct writer *w)
{
        w->state = WRITER_COPY;
        w->next_row = 0;
        w->trailer = false;
        row_order_by_object(&w->order, w->batch->rows, w->batch->len);
        if (w->fk_by_batch)
                start_checked_copy(w);
        else
                pg_conn_command(&w->conn, spending_copy_sql);
        row_order_by_chunk(&w->order, w->batch->rows, w->batch->len);
}

/* --- merge --- */

static void query_arrays(struct writer *w, const char *sql, int arrays_len)
{
        const char *params[COPY_FORMAT_ARRAYS];
        int bytes[COPY_FORMAT_ARRAYS];

        for (int i = 0; i < arrays_len; i++) {
                params[i] = w->arrays[i].data;
                bytes[i] = (int)w->arrays[i].len;
        }
        pg_conn_query(&w->conn, sql, arrays_len, params, bytes);
}

static void start_merge(struct writer *w)
{
        w->state = WRITER_BEGIN;
        w->error.sqlstate[0] = '\0';
        pg_conn_command(&w->conn, w->batch->any_time ? begin_locked_sql : begin_sql);
}

static void send_merge(struct writer *w)
{
        w->state = WRITER_MERGE;
        copy_format_arrays(w->arrays, w->batch->rows, w->batch->len);
        query_arrays(w, spending_merge_sql, COPY_FORMAT_ARRAYS);
}

/* Marks the rows that the merge inserted: their numbers, from 1, are its result. */
static void note_inserted(struct writer *w, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        if (w->inserted_cap < w->batch->len) {
                free(w->inserted);
                w->inserted = malloc(w->batch->len * sizeof(*w->inserted));
                if (!w->inserted)
                        abort();
                w->inserted_cap = w->batch->len;
        }
        memset(w->inserted, 0, w->batch->len * sizeof(*w->inserted));
        for (int i = 0; i < rows; i++) {
                size_t n = (size_t)pg_result_i32(res, i, 0) - 1;

                assert(n < w->batch->len);
                w->inserted[n] = true;
        }
        w->duplicates = w->batch->len - (size_t)rows;
}

static void send_commit(struct writer *w)
{
        w->state = WRITER_COMMIT;
        pg_conn_command(&w->conn, "COMMIT"); /* of a failed transaction: rolls it back */
}

/* --- a batch that failed --- */

/* The batch's only row is to blame. */
static void refuse(struct writer *w)
{
        struct reject reject;

        refuse_by_database(&reject, w->error.sqlstate, w->error.message);
        w->ops->settle(w->ctx, &w->batch->rows[0].line, LINE_REJECTED, &reject);
        batch_free(detach_batch(w));
        finish_batch(w);
}

/* The batch waits beside others for its turn, or its next half. */
static void step_aside(struct writer *w)
{
        w->batch->doubtful = true;
        return_batch(w);
        become_idle(w);
}

/* Takes the row out that the error names; else the second half. Whoever is named wrongly, by a trigger say,
 * costs two statements: the rest is halved before another is believed. */
static struct batch *take_part(struct writer *w)
{
        if (w->named_row > 0 && w->named_row <= w->batch->len && !w->batch->pruned)
                return batch_prune(w->batch, row_order_at(&w->order, w->named_row - 1));
        return batch_split(w->batch);
}

static void isolate(struct writer *w)
{
        struct batch *second;

        if (w->batch->len == 1) {
                refuse(w);
                return;
        }
        w->batch->doubtful = true;
        second = take_part(w);
        return_batch(w);
        w->ops->on_return(w->ctx, second);
        become_idle(w);
}

static int compare_uuids(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct uuid));
}

static void find_missing(struct writer *w)
{
        size_t n = w->batch->len;
        struct uuid *ids = malloc(n * sizeof(*ids));

        if (!ids)
                abort();
        for (size_t i = 0; i < n; i++)
                ids[i] = w->batch->rows[i].rec.ad_object_id;
        qsort(ids, n, sizeof(*ids), compare_uuids);
        w->arrays[0].len = 0;
        pg_array_begin(&w->arrays[0], PG_OID_UUID, n);
        for (size_t i = 0; i < n; i++)
                pg_array_add_uuid(&w->arrays[0], &ids[i]);
        free(ids);
        w->state = WRITER_MISSING;
        query_arrays(w, ad_object_missing_sql, 1);
}

/* The ad objects of @res are gone: their rows leave the batch. */
static void remove_missing(struct writer *w, const struct pg_result *res)
{
        size_t n = (size_t)pg_result_rows(res);
        struct uuid *ids = malloc((n ? n : 1) * sizeof(*ids));

        if (!ids)
                abort();
        for (size_t i = 0; i < n; i++)
                ids[i] = pg_result_uuid(res, (int)i, 0);
        qsort(ids, n, sizeof(*ids), compare_uuids);
        for (size_t i = w->batch->len; i-- > 0;) {
                struct row row = w->batch->rows[i];

                if (!bsearch(&row.rec.ad_object_id, ids, n, sizeof(*ids), compare_uuids))
                        continue;
                batch_remove(w->batch, i);
                w->ops->on_missing(w->ctx, &row);
        }
        free(ids);
}

static void on_missing_result(struct writer *w, const struct pg_result *res)
{
        size_t before = w->batch->len;

        remove_missing(w, res);
        if (w->batch->len == 0) {
                batch_free(detach_batch(w));
                finish_batch(w);
        } else if (w->batch->len == before) {
                isolate(w); /* a foreign key that is not ours, or an object that is back already */
        } else {
                start_batch(w);
        }
}

static void give_up_connection(struct writer *w)
{
        pg_conn_give_up(&w->conn, "writing a batch", &w->error);
}

static void pause_batch(struct writer *w)
{
        log_warn(
                "database, %s: writing a batch: %s (SQLSTATE %s), while another row can be written; it is tried again",
                w->name, w->error.message, w->error.sqlstate);
        w->batch->due = uv_now(w->conn.loop) + suspect_pause_ms(&w->batch->suspicion);
        pg_conn_served(&w->conn);
        step_aside(w);
}

static void take_suspect_step(struct writer *w, enum suspect_step step)
{
        switch (step) {
        case SUSPECT_PROBE:
                w->state = WRITER_PROBE;
                pg_conn_command(&w->conn, spending_probe_sql);
                return;
        case SUSPECT_WAIT:
                w->batch->doubtful = true;
                give_up_connection(w);
                return;
        case SUSPECT_PAUSE:
                pause_batch(w);
                return;
        case SUSPECT_DIVIDE:
                isolate(w);
                return;
        case SUSPECT_REFUSE:
                refuse(w);
                return;
        }
}

static void on_probed(struct writer *w, const struct pg_result *res)
{
        const char *sqlstate = pg_result_sqlstate(res);
        enum suspect_step step =
                suspect_probed(&w->batch->suspicion, w->error.sqlstate, w->batch->len, !sqlstate);

        if (sqlstate)
                log_debug("database, %s: nor an ordinary row: %s (SQLSTATE %s)", w->name,
                          pg_result_message(res), sqlstate);
        if (!sqlstate)
                w->proven = uv_now(w->conn.loop);
        take_suspect_step(w, step);
}

static void suspect(struct writer *w)
{
        take_suspect_step(w, suspect_failed(&w->batch->suspicion, w->error.sqlstate, w->batch->len,
                                            suspect_proven(w->batch->len, w->started, w->proven)));
}

/* What w->error says about the batch, no transaction being open. */
static void handle_error(struct writer *w)
{
        w->failures++;
        log_debug("database, %s: %zu rows not written: %s (SQLSTATE %s)", w->name, w->batch->len,
                  w->error.message, w->error.sqlstate);
        switch (sqlstate_action(w->error.sqlstate)) {
        case SQLSTATE_MERGE:
                if (w->batch->merge) {
                        isolate(w); /* ON CONFLICT met another unique index, of somebody's own */
                        return;
                }
                w->batch->merge = true;
                w->merging = true;
                start_batch(w);
                return;
        case SQLSTATE_MISSING:
                find_missing(w);
                return;
        case SQLSTATE_RETRY:
                w->batch->merge = true; /* it sorts by key: two writers then lock in one order */
                if (w->retries++ < RETRIES_MAX)
                        start_batch(w);
                else
                        suspect(w);
                return;
        case SQLSTATE_ISOLATE:
                isolate(w);
                return;
        case SQLSTATE_SERVER:
                give_up_connection(w);
                return;
        case SQLSTATE_SUSPECT:
                if (w->fk_by_batch && !w->batch->merge) {
                        w->batch->merge = true; /* what looks for the objects may be to blame */
                        start_batch(w);
                } else {
                        suspect(w);
                }
                return;
        }
}

/* --- the connection's events --- */

static void start_batch(struct writer *w)
{
        w->started = uv_now(w->conn.loop);
        w->named_row = 0;
        if (w->batch->merge || w->batch->any_time)
                start_merge(w);
        else
                start_copy(w);
}

void writer_write_take(struct writer *w, struct batch *batch)
{
        assert(w->state == WRITER_IDLE && batch->len > 0);
        w->batch = batch;
        w->taken_us = clock_monotonic_us();
        w->retries = 0;
        batch->merge |= w->merging;
        start_batch(w);
}

static void on_commit_result(struct writer *w, const struct pg_result *res)
{
        if (!w->error.sqlstate[0] && pg_result_sqlstate(res))
                w->error = pg_result_error(res);
        if (w->error.sqlstate[0]) {
                handle_error(w);
                return;
        }
        if (!w->batch->any_time)
                w->merging = w->duplicates > 0;
        settle_all(w, w->inserted);
}

/* database.fk_check = batch is as wanted, or not to be had on this server. */
static void on_obstacle(struct writer *w, const struct pg_result *res)
{
        struct slice obstacle =
                pg_result_sqlstate(res) ? slice_str(pg_result_message(res)) : pg_result_text(res, 0, 0);

        w->fk_by_batch = obstacle.len == 0;
        if (!w->fk_by_batch)
                log_error("database, %s: database.fk_check = batch is refused, each row is checked: %.*s",
                          w->name, (int)obstacle.len, obstacle.ptr);
        become_idle(w);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct writer *w = ctx;
        bool ok = pg_result_sqlstate(res) == NULL;

        switch (w->state) {
        case WRITER_COPY:
                if (ok) {
                        settle_all(w, NULL);
                        return;
                }
                break;
        case WRITER_BEGIN:
                if (ok) {
                        send_merge(w);
                        return;
                }
                break;
        case WRITER_MERGE:
                if (ok)
                        note_inserted(w, res);
                else
                        w->error = pg_result_error(res);
                send_commit(w);
                return;
        case WRITER_COMMIT:
                on_commit_result(w, res);
                return;
        case WRITER_MISSING:
                if (ok) {
                        on_missing_result(w, res);
                        return;
                }
                break;
        case WRITER_PROBE:
                on_probed(w, res);
                return;
        case WRITER_OBSTACLE:
                on_obstacle(w, res);
                return;
        case WRITER_DOWN:
        case WRITER_IDLE:
                assert(false); /* no command was in flight */
        }
        w->error = pg_result_error(res);
        w->named_row = copy_format_named_row(pg_result_context(res));
        if (w->state == WRITER_COPY)
                handle_error(w);
        else
                give_up_connection(w);
}

static void on_ready(void *ctx)
{
        struct writer *w = ctx;

        w->fk_by_batch = false;
        if (!w->config->fk_by_batch) {
                become_idle(w);
                return;
        }
        w->state = WRITER_OBSTACLE;
        pg_conn_query(&w->conn, spending_checked_copy_obstacle_sql, 0, NULL, NULL);
}

static void on_lost(void *ctx)
{
        struct writer *w = ctx;

        w->state = WRITER_DOWN;
        w->proven = 0;
        if (!w->batch)
                return;
        if (!w->conn.gave_up) /* which was counted */
                w->failures++;
        w->batch->merge = true; /* it may have been committed */
        return_batch(w);
}

void writer_open(struct writer *w, uv_loop_t *loop, const struct writer_config *config, unsigned number,
                 const struct writer_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready,
                .on_copy_in = on_copy_in,
                .on_writable = on_copy_in,
                .on_result = on_result,
                .on_lost = on_lost,
        };

        *w = (struct writer){.config = config, .ops = ops, .ctx = ctx};
        snprintf(w->name, sizeof(w->name), "writer %u", number);
        pg_conn_open(&w->conn, loop, config->url, w->name, &conn_ops, w);
}

void writer_drop(struct writer *w, const char *why)
{
        if (w->batch)
                pg_conn_drop(&w->conn, why);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct writer *w = container_of(conn, struct writer, conn);

        buf_deinit(&w->out);
        for (size_t i = 0; i < COPY_FORMAT_ARRAYS; i++)
                buf_deinit(&w->arrays[i]);
        free(w->inserted);
        row_order_deinit(&w->order);
        w->close_cb(w);
}

void writer_close(struct writer *w, void (*cb)(struct writer *))
{
        w->close_cb = cb;
        w->state = WRITER_DOWN;
        if (w->batch)
                return_batch(w);
        pg_conn_close(&w->conn, on_conn_closed);
}
