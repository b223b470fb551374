/* The happy path of a batch: BEGIN, with locks; upsert the accounts; read what the database contains of the objects,
 * their accounts and parents; decide which objects are valid; upsert the new and changed ones; COMMIT; settle. That is at most five round
 * trips, however many records there are. New objects get their ids here, so that one statement can insert a parent and
 * its child.
 *
 * A decision must still hold when it is written: no other worker or daemon may change the type of a parent meanwhile. So
 * a writer of an account's objects holds an advisory lock for that account. Row locks on parents would not do: two
 * transactions that share-lock a parent and then both write it deadlock. A hash spreads accounts over a few locks, since
 * a server has room for a few thousand in all. They are acquired in order, before any other lock.
 *
 * What can go wrong:
 * - Transient errors (deadlocks; a parent that was deleted between reading and writing: 23503): retried immediately, a
 *   few times.
 * - Any other error, or a transient one too often: a probe row is written and rolled back (pg/suspect.h). If the probe
 *   fails, too, the server is at fault: the whole batch waits for a new connection. Otherwise some of the rows are at
 *   fault: the batch is divided and set aside, so that other batches are written between its parts. A single row is
 *   rejected or, if its SQLSTATE never rejects a row, retried after growing pauses.
 * - The same rows were in flight when several connections were lost: a probe row is written first, then as above.
 * - An answer that does not match the statement, or a row that a trigger skipped: the transaction is rolled back, as
 *   after an error of the database with a fitting SQLSTATE.
 *
 * When the connection is lost during COMMIT, everything is written again; rows already stored are then unchanged. */
#include "hierarchy/hierarchy_writer.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/state_machine.h"
#include "hierarchy/hierarchy_verdict.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "wire/refusal.h"

enum { RETRIES_MAX = 10 };

/* --- states --- */

#define BIT(name) STATE_BIT(HIERARCHY_WRITER_##name)

static const struct state states[HIERARCHY_WRITER_STATES] = {
        [HIERARCHY_WRITER_DOWN] = {"DOWN", BIT(IDLE)},
        [HIERARCHY_WRITER_IDLE] = {"IDLE", BIT(DOWN) | BIT(BEGIN) | BIT(PROOF)},
        [HIERARCHY_WRITER_BEGIN] = {"BEGIN", BIT(DOWN) | BIT(ACCOUNTS) | BIT(RESOLVE) | BIT(END)},
        [HIERARCHY_WRITER_ACCOUNTS] = {"ACCOUNTS", BIT(DOWN) | BIT(RESOLVE) | BIT(END)},
        [HIERARCHY_WRITER_RESOLVE] = {"RESOLVE", BIT(DOWN) | BIT(OBJECTS) | BIT(END)},
        [HIERARCHY_WRITER_OBJECTS] = {"OBJECTS", BIT(DOWN) | BIT(END)},
        [HIERARCHY_WRITER_END] = {"END", BIT(DOWN) | BIT(IDLE) | BIT(BEGIN) | BIT(PROBE)},
        [HIERARCHY_WRITER_PROBE] = {"PROBE", BIT(DOWN) | BIT(IDLE) | BIT(BEGIN)},
        [HIERARCHY_WRITER_PROOF] = {"PROOF", BIT(DOWN) | BIT(IDLE) | BIT(BEGIN)},
};

static const struct state_machine machine = {"hierarchy_writer", states, HIERARCHY_WRITER_STATES};

static void enter(struct hierarchy_writer *w, enum hierarchy_writer_state state)
{
        state_machine_check(&machine, w->state, state);
        w->state = state;
}

static size_t part_len(const struct hierarchy_writer *w)
{
        return hierarchy_batch_end(w->batch) - w->batch->start;
}

/* --- a transaction --- */

static void start_transaction(struct hierarchy_writer *w)
{
        enter(w, HIERARCHY_WRITER_BEGIN);
        w->started = uv_now(w->conn.loop);
        w->error.sqlstate[0] = '\0';
        hierarchy_statements_begin(&w->statements, w->batch);
        hierarchy_send_begin(&w->statements, &w->conn);
}

static void end_transaction(struct hierarchy_writer *w)
{
        enter(w, HIERARCHY_WRITER_END);
        pg_conn_command(&w->conn, w->error.sqlstate[0] ? "ROLLBACK" : "COMMIT");
}

static bool send_accounts(struct hierarchy_writer *w)
{
        if (!hierarchy_send_accounts(&w->statements, &w->conn))
                return false;
        enter(w, HIERARCHY_WRITER_ACCOUNTS);
        return true;
}

static bool send_resolve(struct hierarchy_writer *w)
{
        if (!hierarchy_send_resolve(&w->statements, &w->conn))
                return false;
        enter(w, HIERARCHY_WRITER_RESOLVE);
        return true;
}

static bool send_objects(struct hierarchy_writer *w)
{
        if (!hierarchy_send_objects(&w->statements, &w->conn))
                return false;
        enter(w, HIERARCHY_WRITER_OBJECTS);
        return true;
}

/* --- the end of a part --- */

static void become_idle(struct hierarchy_writer *w)
{
        enter(w, HIERARCHY_WRITER_IDLE);
        w->ops->on_idle(w->ctx);
}

static struct hierarchy_batch *detach_batch(struct hierarchy_writer *w)
{
        struct hierarchy_batch *b = w->batch;

        w->batch = NULL;
        w->retries = 0;
        return b;
}

/* Sets the batch aside for @pause_ms. */
static void step_aside(struct hierarchy_writer *w, unsigned pause_ms, bool stuck)
{
        w->batch->due = uv_now(w->conn.loop) + pause_ms;
        w->ops->on_aside(w->ctx, detach_batch(w), stuck);
        if (w->state != HIERARCHY_WRITER_DOWN)
                become_idle(w);
}

/* All rows of the part are settled. */
static void finish_part(struct hierarchy_writer *w)
{
        pg_conn_served(&w->conn);
        hierarchy_batch_advance(w->batch);
        if (w->batch->start < w->batch->len) {
                step_aside(w, 0, false);
                return;
        }
        w->ops->on_done(w->ctx, detach_batch(w));
        become_idle(w);
}

static void settle_part(struct hierarchy_writer *w)
{
        size_t end = hierarchy_batch_end(w->batch);
        bool written = false;

        for (size_t i = w->batch->start; i < end; i++) {
                struct hierarchy_row *row = &w->batch->rows[i];
                struct reject reject;

                if (row->verdict != HIERARCHY_OK) {
                        hierarchy_describe(row, &reject);
                        w->ops->settle(w->ctx, &row->line, LINE_REJECTED, &reject);
                        continue;
                }
                written |= row->write == DB_WRITE_DONE;
                w->ops->settle(w->ctx, &row->line, row->write == DB_WRITE_DONE ? LINE_STORED : LINE_DUPLICATE,
                               NULL);
        }
        if (written || w->new_accounts)
                w->ops->on_written(w->ctx, w->new_accounts);
        w->new_accounts = false;
        finish_part(w);
}

/* --- errors --- */

/* True if an account failed. If COMMIT failed in a transaction that also has objects, this is unknown. */
static bool account_failed(const struct hierarchy_writer *w)
{
        return w->failed_in == HIERARCHY_WRITER_ACCOUNTS ||
               (w->failed_in == HIERARCHY_WRITER_END &&
                w->batch->rows[w->batch->start].kind == RECORD_AD_ACCOUNT);
}

static bool waited_for_lock(const struct hierarchy_writer *w)
{
        return strcmp(w->error.sqlstate, SQLSTATE_LOCK_TIMEOUT) == 0;
}

static void send_probe(struct hierarchy_writer *w)
{
        enter(w, HIERARCHY_WRITER_PROBE);
        if (waited_for_lock(w))
                pg_conn_command(&w->conn,
                                account_failed(w) ? ad_account_unlocked_sql : ad_object_unlocked_sql);
        else
                pg_conn_command(&w->conn, account_failed(w) ? ad_account_probe_sql : ad_object_probe_sql);
}

/* Rejects the part's only row. */
static void refuse(struct hierarchy_writer *w)
{
        struct reject reject;

        refuse_by_database(&reject, w->error.sqlstate, w->error.told);
        w->ops->settle(w->ctx, &w->batch->rows[w->batch->start].line, LINE_REJECTED, &reject);
        finish_part(w);
}

/* The server is at fault. For a lock timeout the lock is known to be held, and the wait was the pause. */
static void wait_for_server(struct hierarchy_writer *w)
{
        if (!waited_for_lock(w)) {
                pg_conn_give_up(&w->conn, "writing the hierarchy", &w->error);
                return;
        }
        if (!w->conn.stalled) {
                char why[PG_CONN_ERROR_BYTES];

                snprintf(
                        why, sizeof(why),
                        "another session has a lock on a whole table (see pg_locks): %s (SQLSTATE %s); retrying",
                        w->error.message, w->error.sqlstate);
                pg_conn_stall(&w->conn, why);
        }
        start_transaction(w);
}

static void pause_row(struct hierarchy_writer *w)
{
        unsigned pause_ms = suspect_pause_ms(&w->batch->suspicion);
        unsigned failures = w->batch->suspicion.failures;

        if ((failures & (failures - 1)) == 0) /* log the first, second, fourth, eighth ... failure */
                log_warn(
                        "database, hierarchy: a row cannot be written, others can: %s (SQLSTATE %s); only this row "
                        "waits and is retried",
                        w->error.message, w->error.sqlstate);
        if (!waited_for_lock(w))
                w->ops->on_fault(w->ctx, &w->batch->rows[w->batch->start].line);
        pg_conn_served(&w->conn);
        step_aside(w, pause_ms, true);
}

static void take_step(struct hierarchy_writer *w, enum suspect_step step)
{
        switch (step) {
        case SUSPECT_PROBE:
                send_probe(w);
                return;
        case SUSPECT_WAIT:
                wait_for_server(w);
                return;
        case SUSPECT_DIVIDE:
                hierarchy_batch_divide(w->batch);
                pg_conn_served(&w->conn);
                step_aside(w, 0, false);
                return;
        case SUSPECT_PAUSE:
                pause_row(w);
                return;
        case SUSPECT_REFUSE:
                refuse(w);
                return;
        }
}

/* Handles w->error; no transaction is open. A lock timeout is not retried immediately: it has already
 * waited. */
static void handle_error(struct hierarchy_writer *w)
{
        enum sqlstate_action action = sqlstate_action(w->error.sqlstate);
        bool passes = action == SQLSTATE_MISSING || (action == SQLSTATE_RETRY && !waited_for_lock(w));

        log_debug("database, hierarchy: %zu rows not written: %s (SQLSTATE %s)", part_len(w),
                  w->error.message, w->error.sqlstate);
        if (passes && w->retries++ < RETRIES_MAX)
                start_transaction(w);
        else
                take_step(w, suspect_failed(&w->batch->suspicion, w->error.sqlstate, part_len(w),
                                            suspect_proven(w->started, w->proven)));
}

/* Returns false, with w->error set, if the transaction must not be committed after this @reply. */
static bool is_good(struct hierarchy_writer *w, enum hierarchy_reply reply)
{
        switch (reply) {
        case HIERARCHY_REPLY_GOOD:
                return true;
        case HIERARCHY_REPLY_SKIPPED:
                w->error = PG_ERROR("02000", "the database did not store the row: a trigger skipped it");
                break;
        case HIERARCHY_REPLY_CHANGED:
                w->error = PG_ERROR(SQLSTATE_TRIGGER_PROTOCOL,
                                    DB_CHANGES ": a trigger or a column's type changes a row");
                break;
        }
        w->failed_in = w->state;
        return false;
}

/* --- the connection's events --- */

static void on_success(struct hierarchy_writer *w, const struct pg_result *res)
{
        switch (w->state) {
        case HIERARCHY_WRITER_BEGIN:
                if (!send_accounts(w) && !send_resolve(w))
                        assert(false); /* returns no rows */
                return;
        case HIERARCHY_WRITER_ACCOUNTS:
                if (!is_good(w, hierarchy_read_accounts(&w->statements, res, &w->new_accounts)) ||
                    !send_resolve(w))
                        end_transaction(w);
                return;
        case HIERARCHY_WRITER_RESOLVE:
                if (!is_good(w, hierarchy_read_resolve(&w->statements, res)) || !send_objects(w))
                        end_transaction(w);
                return;
        case HIERARCHY_WRITER_OBJECTS:
                is_good(w, hierarchy_read_objects(&w->statements, res));
                end_transaction(w);
                return;
        case HIERARCHY_WRITER_END:
                if (w->error.sqlstate[0])
                        handle_error(w);
                else
                        settle_part(w);
                return;
        case HIERARCHY_WRITER_PROBE: /* handled by on_probed and on_proof */
        case HIERARCHY_WRITER_PROOF:
        case HIERARCHY_WRITER_DOWN:
        case HIERARCHY_WRITER_IDLE:
        case HIERARCHY_WRITER_STATES:
                break;
        }
        assert(false); /* no command was in flight */
}

static void on_failure(struct hierarchy_writer *w, const struct pg_result *res)
{
        if (!w->error.sqlstate[0]) {
                w->error = pg_result_error(res);
                w->failed_in = w->state;
        }
        if (w->state == HIERARCHY_WRITER_END)
                handle_error(w);
        else
                end_transaction(w);
}

/* True if the probe succeeded. */
static bool note_probe(struct hierarchy_writer *w, const struct pg_result *res)
{
        const char *sqlstate = pg_result_sqlstate(res);

        if (sqlstate)
                log_debug("database, hierarchy: the probe row failed, too: %s (SQLSTATE %s)",
                          pg_result_message(res), sqlstate);
        else
                w->proven = uv_now(w->conn.loop);
        return !sqlstate;
}

static void on_probed(struct hierarchy_writer *w, const struct pg_result *res)
{
        bool written = note_probe(w, res);

        take_step(w, suspect_probed(&w->batch->suspicion, w->error.sqlstate, part_len(w), written));
}

/* Probe before trying rows with which connections were lost. */
static void on_proof(struct hierarchy_writer *w, const struct pg_result *res)
{
        if (!note_probe(w, res)) {
                w->error = pg_result_error(res);
                pg_conn_give_up(&w->conn, "writing the hierarchy", &w->error);
                return;
        }
        pg_conn_served(&w->conn);
        if (part_len(w) == 1) {
                start_transaction(w);
                return;
        }
        hierarchy_batch_divide(w->batch);
        step_aside(w, 0, false);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct hierarchy_writer *w = ctx;

        if (w->state == HIERARCHY_WRITER_PROBE)
                on_probed(w, res);
        else if (w->state == HIERARCHY_WRITER_PROOF)
                on_proof(w, res);
        else if (pg_result_sqlstate(res))
                on_failure(w, res);
        else
                on_success(w, res);
}

static void start_batch(struct hierarchy_writer *w)
{
        if (!suspect_needs_proof(&w->batch->suspicion)) {
                start_transaction(w);
                return;
        }
        enter(w, HIERARCHY_WRITER_PROOF);
        pg_conn_command(&w->conn, w->batch->rows[w->batch->start].kind == RECORD_AD_ACCOUNT
                                          ? ad_account_probe_sql
                                          : ad_object_probe_sql);
}

static void on_ready(void *ctx)
{
        struct hierarchy_writer *w = ctx;

        enter(w, HIERARCHY_WRITER_IDLE);
        if (w->batch)
                start_batch(w);
        else
                w->ops->on_idle(w->ctx);
}

static bool in_transaction(const struct hierarchy_writer *w)
{
        return w->state >= HIERARCHY_WRITER_BEGIN && w->state <= HIERARCHY_WRITER_END;
}

static void on_lost(void *ctx)
{
        struct hierarchy_writer *w = ctx;
        bool blame = w->batch && in_transaction(w) && !w->conn.gave_up;

        enter(w, HIERARCHY_WRITER_DOWN);
        w->proven = 0;
        if (!blame)
                return;
        suspect_lost(&w->batch->suspicion);
        if (suspect_needs_proof(&w->batch->suspicion))
                step_aside(w, suspect_pause_ms(&w->batch->suspicion), part_len(w) == 1);
}

void hierarchy_writer_write_take(struct hierarchy_writer *w, struct hierarchy_batch *batch)
{
        assert(batch->start < batch->len);
        w->batch = batch;
        w->retries = 0;
        start_batch(w);
}

struct hierarchy_batch *hierarchy_writer_drop(struct hierarchy_writer *w, const char *why)
{
        struct hierarchy_batch *b = detach_batch(w);

        if (b)
                pg_conn_drop(&w->conn, why);
        return b;
}

void hierarchy_writer_open(struct hierarchy_writer *w, uv_loop_t *loop, const char *url,
                           const struct hierarchy_writer_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready,
                .on_result = on_result,
                .on_lost = on_lost,
                .prepare_sql = {ad_account_write_prepare_sql, ad_object_write_prepare_sql}};

        *w = (struct hierarchy_writer){.ops = ops, .ctx = ctx};
        pg_conn_open(&w->conn, loop, url, "hierarchy", &conn_ops, w);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct hierarchy_writer *w = container_of(conn, struct hierarchy_writer, conn);

        hierarchy_statements_deinit(&w->statements);
        if (w->close_cb)
                w->close_cb(w);
}

void hierarchy_writer_close(struct hierarchy_writer *w, void (*cb)(struct hierarchy_writer *))
{
        assert(!w->batch);
        w->close_cb = cb;
        pg_conn_close(&w->conn, on_conn_closed);
}
