/* The happy path: COPY ... FROM STDIN in binary, one round trip and one transaction per batch; its result
 * means that the rows are durable, and they are settled as stored.
 *
 * If a row is already stored (23505), the batch is merged: INSERT ... ON CONFLICT DO NOTHING, which returns
 * the inserted rows. The others are compared with what is stored under their keys: an equal record is a
 * duplicate, a different one an id conflict; if nothing is stored, a trigger dropped the row. As long as
 * merges find stored rows, COPY is not tried; as long as they find more stored rows than new ones, the rows
 * are compared first, and only those that are not stored are merged.
 *
 * If the table has triggers that could change or drop rows, COPY leaves its transaction open, and the stored
 * rows are compared before COMMIT. If the database changes what it stores, nothing is settled: the batch
 * fails.
 *
 * For other errors see writer_errors.c. When the connection is lost the outcome is unknown: the batch is
 * returned and merged later, and the ids show what was stored. Rows in flight when connections are lost
 * become suspect (suspect.h). */
#include "spending/writer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/db.h"
#include "model/spending_store.h"
#include "pg/suspect.h"
#include "spending/writer_internal.h"
#include "wire/refusal.h"

enum {
        PIECE_BYTES =
                128 * 1024, /* handed to libpq in one piece: the most that it buffers between two flushes */
        ROW_TRIGGERS_BATCHES = 100, /* until it is checked again whether the table has such triggers */
};

/* --- settling --- */

void writer_become_idle(struct writer *w)
{
        writer_enter(w, WRITER_IDLE);
        w->ops->on_idle(w->ctx, w);
}

struct batch *writer_detach_batch(struct writer *w)
{
        struct batch *b = w->batch;

        w->batch = NULL;
        return b;
}

void writer_return_batch(struct writer *w)
{
        struct batch *b = writer_detach_batch(w);

        if (b->len > 0)
                w->ops->on_return(w->ctx, b);
        else
                batch_free(b);
}

static void settle_row(struct writer *w, const struct batch *b, size_t i, enum fate fate)
{
        struct line *line = &b->rows[i].line;
        struct reject reject;

        switch (fate) {
        case FATE_INSERTED:
                w->ops->settle(w->ctx, line, LINE_STORED, NULL);
                return;
        case FATE_SAME:
                w->ops->settle(w->ctx, line, w->copied ? LINE_STORED : LINE_DUPLICATE, NULL);
                return;
        case FATE_CONFLICT:
                refuse_id_conflict(&reject, b->rows[i].rec.any_time);
                break;
        case FATE_ABSENT:
        case FATE_OPEN: /* not reached: a merge asks until no row is open */
        case FATE_ANY:
                refuse_dropped(&reject);
                break;
        }
        w->ops->settle(w->ctx, line, LINE_REJECTED, &reject);
}

/* The batch is committed: all its rows are stored or, with @fates, have these fates. */
static void settle_all(struct writer *w, const struct fates *fates)
{
        struct batch *b = writer_detach_batch(w);
        uint64_t us = clock_monotonic_us() - w->taken_us;

        w->batches++;
        w->rows += b->len;
        w->proven = uv_now(w->conn.loop);
        histogram_add(&w->commit, us, 1);
        w->ops->on_committed(w->ctx, b, us);
        portion_written(b, &w->weeks);
        probe_weeks_add(&w->written, b->rows[0].rec.collected_at);
        for (size_t i = 0; i < b->len; i++)
                settle_row(w, b, i, fates ? fates->of[i] : FATE_INSERTED);
        batch_free(b);
        pg_conn_served(&w->conn);
        writer_become_idle(w);
}

/* --- COPY --- */

/* Encodes and sends rows until all are sent or the socket's buffer is full. */
static void send_rows(struct writer *w)
{
        do {
                w->out.len = 0;
                if (w->next_row == 0)
                        copy_format_header(&w->out);
                while (w->next_row < w->batch->len && w->out.len < PIECE_BYTES)
                        copy_format_row(&w->out, &w->batch->rows[row_order_at(&w->order, w->next_row++)].rec);
                if (w->next_row == w->batch->len) {
                        copy_format_trailer(&w->out);
                        pg_conn_put_last(&w->conn, w->out.data, w->out.len);
                        return;
                }
        } while (pg_conn_put(&w->conn, w->out.data, w->out.len));
}

static void on_copy_in(void *ctx)
{
        struct writer *w = ctx;
        struct slice probe;

        if (w->state != WRITER_PROBE) {
                send_rows(w);
                return;
        }
        probe = probe_data(&w->probe);
        pg_conn_put_last(&w->conn, probe.ptr, probe.len);
}

static void on_writable(void *ctx)
{
        send_rows(ctx);
}

/* Checks all ad objects first, at once, instead of by a trigger per row. */
static void start_checked_copy(struct writer *w)
{
        const struct batch *b = w->batch;
        const struct uuid *last = NULL;
        size_t objects = 0;

        w->arrays[0].len = 0;
        spending_checked_copy_begin(&w->arrays[0], w->wait);
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
        writer_enter(w, w->row_triggers > 0 ? WRITER_OPEN_COPY : WRITER_COPY);
        w->next_row = 0;
        row_order_by_object(&w->order, w->batch->rows, w->batch->len);
        if (w->state == WRITER_OPEN_COPY)
                pg_conn_command(&w->conn, spending_open_copy_sql[w->wait]);
        else if (w->fk_by_batch)
                start_checked_copy(w);
        else
                pg_conn_command(&w->conn, spending_copy_sql[w->wait]);
        row_order_by_chunk(&w->order, w->batch->rows, w->batch->len);
}

static enum writer_habit habit_of(const struct fates *fates)
{
        size_t inserted = fates_count(fates, FATE_INSERTED);

        if (inserted == fates->len)
                return WRITER_COPIES;
        return inserted * 2 < fates->len ? WRITER_COMPARES : WRITER_MERGES;
}

static void on_committed(struct writer *w)
{
        if (!w->copied && !w->batch->any_time)
                w->habit = habit_of(&w->fates);
        settle_all(w, &w->fates);
}

/* --- a batch --- */

void writer_start_batch(struct writer *w)
{
        w->started = uv_now(w->conn.loop);
        w->wait = writer_lock_wait(w);
        w->named_row = 0;
        w->error.sqlstate[0] = '\0';
        w->copied = w->batch->copied;
        if (w->batch->merge || w->batch->any_time)
                writer_start_merge(w);
        else
                start_copy(w);
}

/* Returns what is too much for one transaction to the queue. */
static void cut_portion(struct writer *w)
{
        struct batch *rest = portion_cut(w->batch, &w->weeks);

        if (!rest)
                return;
        rest->doubtful = true;
        w->ops->on_return(w->ctx, rest);
}

void writer_write_take(struct writer *w, struct batch *batch)
{
        assert(w->state == WRITER_IDLE && batch->len > 0);
        w->batch = batch;
        writer_enter(w, WRITER_TAKING); /* not idle: returned batches must not be given to this writer */
        w->taken_us = clock_monotonic_us();
        w->retries = 0;
        cut_portion(w);
        batch->merge |= w->habit != WRITER_COPIES;
        if (suspect_needs_proof(&batch->suspicion))
                writer_ask_for_proof(w);
        else if (batch->locked)
                writer_find_locked(w);
        else
                writer_start_batch(w);
}

/* --- the connection's events --- */

static void on_copied(struct writer *w, const struct pg_result *res)
{
        if (pg_result_affected(res) == (int64_t)w->batch->len) {
                settle_all(w, NULL);
                return;
        }
        /* Some rows are stored and committed: a merge finds which ones. */
        w->batch->copied = true;
        w->batch->merge = true;
        writer_start_batch(w);
}

static void on_open_copied(struct writer *w, const struct pg_result *res)
{
        w->row_triggers--;
        w->copied = true;
        w->copied_rows = (size_t)pg_result_affected(res);
        fates_begin(&w->fates, w->batch->len);
        fates_ask(&w->fates, FATE_ANY);
        writer_send_compare(w);
}

/* The command of the current state succeeded. */
static void on_success(struct writer *w, const struct pg_result *res)
{
        switch (w->state) {
        case WRITER_COPY:
                on_copied(w, res);
                return;
        case WRITER_OPEN_COPY:
                on_open_copied(w, res);
                return;
        case WRITER_BEGIN:
                w->row_triggers =
                        slice_eq(pg_result_text(res, 0, 0), slice_str("t")) ? ROW_TRIGGERS_BATCHES : 0;
                writer_on_begun(w);
                return;
        case WRITER_KNOWN:
                writer_on_known(w, res);
                return;
        case WRITER_MERGE:
                writer_on_merged(w, res);
                return;
        case WRITER_COMPARE:
                writer_on_compared(w, res);
                return;
        case WRITER_ELSEWHERE:
                writer_on_elsewhere(w, res);
                return;
        case WRITER_COMMIT:
                on_committed(w);
                return;
        case WRITER_ROLLBACK:
                writer_on_error(w);
                return;
        case WRITER_MISSING:
                writer_on_missing(w, res);
                return;
        case WRITER_LOCKED:
                writer_on_locked(w, res);
                return;
        case WRITER_DOWN:
        case WRITER_IDLE:
        case WRITER_TAKING:
        case WRITER_OBSTACLE:
        case WRITER_CANDIDATES:
        case WRITER_PROBE:
        case WRITER_STATES:
                break;
        }
        assert(false); /* handled by on_result */
}

/* The table has triggers that could change rows: stored rows are compared from now on. */
static void on_row_triggers(struct writer *w)
{
        w->row_triggers = ROW_TRIGGERS_BATCHES;
        writer_start_batch(w);
}

static void on_failure(struct writer *w, const struct pg_result *res)
{
        w->error = pg_result_error(res);
        switch (w->state) {
        case WRITER_COPY:
                if (strcmp(w->error.sqlstate, SPENDING_ROW_TRIGGERS) == 0) {
                        on_row_triggers(w);
                        return;
                }
                w->named_row = copy_format_named_row(pg_result_context(res));
                writer_on_error(w);
                return;
        case WRITER_OPEN_COPY:
                w->named_row = copy_format_named_row(pg_result_context(res));
                writer_send_end(w, WRITER_ROLLBACK);
                return;
        case WRITER_BEGIN:
        case WRITER_KNOWN:
        case WRITER_MERGE:
        case WRITER_COMPARE:
        case WRITER_ELSEWHERE:
                writer_send_end(w, WRITER_ROLLBACK);
                return;
        case WRITER_COMMIT: /* this ends the transaction */
                writer_on_error(w);
                return;
        case WRITER_ROLLBACK:
        case WRITER_MISSING:
        case WRITER_LOCKED:
        case WRITER_DOWN:
        case WRITER_IDLE:
        case WRITER_TAKING:
        case WRITER_OBSTACLE:
        case WRITER_CANDIDATES:
        case WRITER_PROBE:
        case WRITER_STATES:
                writer_give_up(w);
                return;
        }
}

/* Uses database.fk_check = batch, or reports why this server does not allow it. */
static void on_obstacle(struct writer *w, const struct pg_result *res)
{
        struct slice obstacle =
                pg_result_sqlstate(res) ? slice_str(pg_result_message(res)) : pg_result_text(res, 0, 0);

        w->fk_by_batch = obstacle.len == 0;
        if (!w->fk_by_batch)
                log_error(
                        "database, %s: database.fk_check = batch is not possible, each row is checked: %.*s",
                        w->name, (int)obstacle.len, obstacle.ptr);
        writer_become_idle(w);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct writer *w = ctx;

        if (w->state == WRITER_OBSTACLE)
                on_obstacle(w, res);
        else if (w->state == WRITER_CANDIDATES)
                writer_on_candidates(w, res);
        else if (w->state == WRITER_PROBE)
                writer_on_probed(w, res);
        else if (!pg_result_sqlstate(res))
                on_success(w, res);
        else
                on_failure(w, res);
}

static void on_ready(void *ctx)
{
        struct writer *w = ctx;

        w->fk_by_batch = false;
        w->row_triggers = 0;
        if (!w->config->fk_by_batch) {
                writer_become_idle(w);
                return;
        }
        writer_enter(w, WRITER_OBSTACLE);
        pg_conn_query(&w->conn, spending_checked_copy_obstacle_sql, NULL);
}

/* True if the batch's own statements were in flight. */
static bool was_trying(enum writer_state state)
{
        return state == WRITER_COPY || state == WRITER_OPEN_COPY || state == WRITER_KNOWN ||
               state == WRITER_MERGE || state == WRITER_COMPARE || state == WRITER_ELSEWHERE ||
               state == WRITER_COMMIT;
}

/* Makes a batch doubtful after several connections were lost with it; a single row waits longer each time. */
static void hold_against(struct writer *w, struct batch *b)
{
        suspect_lost(&b->suspicion);
        if (!suspect_needs_proof(&b->suspicion))
                return;
        b->doubtful = true;
        if (b->len > 1)
                return;
        b->due = uv_now(w->conn.loop) + suspect_pause_ms(&b->suspicion);
        log_warn("database, %s: one row waits: %u connections were lost with it in flight", w->name,
                 b->suspicion.lost);
}

static void on_lost(void *ctx)
{
        struct writer *w = ctx;
        bool trying = was_trying(w->state);

        writer_enter(w, WRITER_DOWN);
        w->proven = 0;
        if (!w->batch)
                return;
        if (!w->conn.gave_up) /* giving up was counted already */
                w->failures++;
        if (trying && !w->conn.gave_up && !w->dropped)
                hold_against(w, w->batch);
        w->dropped = false;
        w->batch->merge = true; /* it may have been committed */
        writer_return_batch(w);
}

void writer_open(struct writer *w, uv_loop_t *loop, const struct writer_config *config, unsigned number,
                 const struct writer_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready,
                .on_copy_in = on_copy_in,
                .on_writable = on_writable,
                .on_result = on_result,
                .on_lost = on_lost,
                .prepare_sql = {spending_prepare_sql},
        };

        *w = (struct writer){.config = config, .ops = ops, .ctx = ctx};
        snprintf(w->name, sizeof(w->name), "writer %u", number);
        pg_conn_open(&w->conn, loop, config->url, w->name, &conn_ops, w);
}

void writer_drop(struct writer *w, const char *why)
{
        if (!w->batch)
                return;
        w->dropped = true;
        pg_conn_drop(&w->conn, why);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct writer *w = container_of(conn, struct writer, conn);

        buf_deinit(&w->out);
        for (size_t i = 0; i < COPY_FORMAT_ARRAYS; i++)
                buf_deinit(&w->arrays[i]);
        fates_deinit(&w->fates);
        probe_deinit(&w->probe);
        row_order_deinit(&w->order);
        if (w->close_cb)
                w->close_cb(w);
}

void writer_close(struct writer *w, void (*cb)(struct writer *))
{
        w->close_cb = cb;
        writer_enter(w, WRITER_DOWN);
        if (w->batch)
                writer_return_batch(w);
        pg_conn_close(&w->conn, on_conn_closed);
}
