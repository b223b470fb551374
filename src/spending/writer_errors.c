/* What to do about a failed batch. The SQLSTATE (sqlstate.c) decides what is tried first:
 * - A row is already stored (23505): merge the batch.
 * - An ad object was deleted (23503, which names no row): read which ones are missing, take their rows out to be resolved
 *   again, and write the rest. If none is missing, the object exists again: retry.
 * - Transient errors such as a deadlock: retry immediately, up to ten times; but not for a lock that stays held.
 *
 * All other errors, and these if that did not help, are decided by proof (suspect.h): a probe row, an ordinary record, is
 * written by COPY and rolled back. If the probe row fails, the server or the table is at fault: the connection is given
 * up, and the whole batch is retried on a new one. If the probe row succeeds, one of the batch's rows is at fault: it is
 * taken out if the error names it, otherwise the batch is halved until the row is alone. That row is rejected, or waits,
 * by its SQLSTATE, while others proceed. k bad rows of n cost at most O(k log n) statements, with others' batches in
 * between.
 *
 * What stops rows may be their chunk: its tablespace is full or damaged, or another session has locked it. So after an error of
 * the server's the rows of one week are separated from those of others, and another probe row, of their week, tells whether
 * the whole week is at fault. Then its rows wait together. The first probe row is of the week that was written last, which may
 * be at fault itself: then rows of other weeks are tried.
 *
 * A lock that another session holds may stop many batches, each with rows of several clients. Only the first of these
 * batches waits for long. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "model/ad_object.h"
#include "pg/pg_array.h"
#include "pg/sqlstate.h"
#include "pg/suspect.h"
#include "spending/writer_internal.h"
#include "wire/refusal.h"

enum {
        RETRIES_MAX = 10,
        LOCK_MET_MS = 10000, /* how long after a long wait for a lock the other ones are brief */
};

/* --- steps --- */

/* Rejects the batch's only row. */
static void refuse(struct writer *w)
{
        struct reject reject;

        refuse_by_database(&reject, w->error.sqlstate, w->error.told);
        w->ops->settle(w->ctx, &w->batch->rows[0].line, LINE_REJECTED, &reject);
        batch_free(writer_detach_batch(w));
        writer_become_idle(w);
}

/* Takes out the row that the error names, else the second half. A wrongly named row (by a trigger, for
 * example) costs two statements: the rest is halved before another name is believed. */
static struct batch *take_part(struct writer *w)
{
        if (w->named_row > 0 && w->named_row <= w->batch->len && !w->batch->pruned)
                return batch_prune(w->batch, row_order_at(&w->order, w->named_row - 1));
        return batch_split(w->batch);
}

static void divide(struct writer *w)
{
        struct batch *second = take_part(w);

        /* If the error named the bad row, the batch of the other rows stays ordinary for one more try. */
        second->doubtful = true;
        w->batch->doubtful |= !w->batch->pruned;
        w->batch->due = 0;
        writer_return_batch(w);
        w->ops->on_return(w->ctx, second);
        writer_become_idle(w);
}

static bool is_power_of_two(unsigned n)
{
        return (n & (n - 1)) == 0;
}

enum { MORE_BYTES = 60 };

/* Counts a message about rows that wait: there may be one for each row. Returns false if it must not be logged now; else
 * ret_more tells how many were not logged before it. */
static bool may_tell(struct writer *w, char ret_more[MORE_BYTES])
{
        uint64_t events = log_burst_pass(&w->rests, uv_now(w->conn.loop));

        ret_more[0] = '\0';
        if (events > 1)
                snprintf(ret_more, MORE_BYTES, "; the same happened to %" PRIu64 " more batches", events - 1);
        return events > 0;
}

/* Makes the rows wait while others proceed. */
static void set_aside(struct writer *w)
{
        unsigned failures = w->batch->suspicion.failures;
        const char *advice = sqlstate_advice(w->error.sqlstate);
        char more[MORE_BYTES];

        /* log the first, second, fourth, eighth ... failure */
        if (is_power_of_two(failures) && may_tell(w, more))
                log_warn(
                        "database, %s: %zu rows cannot be written, others can: %s (SQLSTATE %s); only these rows wait, "
                        "%u attempts so far%s%s%s%s",
                        w->name, w->batch->len, w->error.message, w->error.sqlstate, failures, more,
                        advice ? " (" : "", advice ? advice : "", advice ? ")" : "");
        w->batch->doubtful = true;
        w->batch->due = uv_now(w->conn.loop) + suspect_pause_ms(&w->batch->suspicion);
        writer_return_batch(w);
        writer_become_idle(w);
}

void writer_give_up(struct writer *w)
{
        pg_conn_give_up(&w->conn, "writing a batch", &w->error);
}

static void ask_for_candidates(struct writer *w, enum probe_source source)
{
        writer_enter(w, WRITER_CANDIDATES);
        w->probe.source = source;
        pg_conn_query(&w->conn, probe_sql(source), NULL);
}

/* --- weeks --- */

/* Such an error may concern a chunk, not a row: its tablespace is full or damaged, or another session has locked it. */
static bool may_stop_weeks(const struct pg_error *error)
{
        return sqlstate_action(error->sqlstate) == SQLSTATE_SERVER ||
               strcmp(error->sqlstate, SQLSTATE_LOCK_TIMEOUT) == 0;
}

/* Separates the rows of one week from those of other weeks. Returns false if there are no others. */
static bool part_weeks(struct writer *w)
{
        struct batch *others;

        w->batch->doubtful = true;
        others = portion_part_week(w->batch);
        if (!others)
                return false;
        w->batch->suspicion = others->suspicion;
        w->batch->due = 0;
        w->ops->on_return(w->ctx, others);
        return true;
}

/* Divides the batch, which failed while an ordinary row could be written. */
static void take_apart(struct writer *w)
{
        if (!may_stop_weeks(&w->error)) {
                divide(w);
        } else if (part_weeks(w)) {
                writer_return_batch(w);
                writer_become_idle(w);
        } else {
                ask_for_candidates(w, PROBE_SAME);
        }
}

/* A row of the batch's week was tried: @error, or NULL if it could be written. */
static void on_same_week(struct writer *w, const struct pg_error *error)
{
        if (!error || !may_stop_weeks(error)) {
                divide(w);
                return;
        }
        w->batch->suspicion.failures++;
        set_aside(w);
}

/* --- steps --- */

static void take_step(struct writer *w, enum suspect_step step)
{
        switch (step) {
        case SUSPECT_PROBE:
                ask_for_candidates(w, PROBE_MADE);
                return;
        case SUSPECT_WAIT:
                writer_give_up(w);
                return;
        case SUSPECT_DIVIDE:
                take_apart(w);
                return;
        case SUSPECT_PAUSE:
                set_aside(w);
                return;
        case SUSPECT_REFUSE:
                refuse(w);
                return;
        }
}

static void blame(struct writer *w)
{
        take_step(w, suspect_failed(&w->batch->suspicion, w->error.sqlstate, w->batch->len,
                                    suspect_proven(w->started, w->proven)));
}

/* --- proof --- */

static void on_proof(struct writer *w)
{
        bool tried = w->error.sqlstate[0] != '\0';

        w->proven = uv_now(w->conn.loop);
        pg_conn_served(&w->conn);
        if (w->probe.source == PROBE_SAME)
                on_same_week(w, NULL);
        else if (tried)
                take_step(w, suspect_probed(&w->batch->suspicion, w->error.sqlstate, w->batch->len, true));
        else if (w->batch->len > 1)
                divide(w);
        else
                writer_start_batch(w);
}

/* No probe row can be written. If the batch itself was not tried, the first probe row's error is the reason. */
static void on_no_proof(struct writer *w, const struct pg_error *why)
{
        log_debug("database, %s: the probe row failed too: %s (SQLSTATE %s)", w->name, why->message,
                  why->sqlstate);
        if (!w->error.sqlstate[0])
                w->error = *why;
        part_weeks(w); /* one week may be at fault: rows of other weeks are tried apart from it */
        writer_give_up(w);
}

void writer_ask_for_proof(struct writer *w)
{
        w->error.sqlstate[0] = '\0';
        ask_for_candidates(w, PROBE_MADE);
}

static void try_next(struct writer *w, const struct pg_error *last)
{
        if (probe_has_next(&w->probe)) {
                writer_enter(w, WRITER_PROBE);
                pg_conn_command(&w->conn, probe_command(&w->probe));
        } else if (w->probe.source == PROBE_SAME) {
                on_same_week(w, last);
        } else if (w->probe.source == PROBE_MADE) {
                ask_for_candidates(w, PROBE_STORED);
        } else {
                on_no_proof(w, last);
        }
}

/* After an error that stops all rows of the week that was tried. */
static void try_other_weeks(struct writer *w, const struct pg_error *last)
{
        if (w->probe.source == PROBE_SAME)
                on_same_week(w, last);
        else if (w->probe.source != PROBE_OTHER && w->written.len > 0)
                ask_for_candidates(w, PROBE_OTHER);
        else
                on_no_proof(w, last);
}

/* Returns the weeks to which the probe rows belong. */
static struct probe_weeks probe_weeks(const struct writer *w)
{
        switch (w->probe.source) {
        case PROBE_OTHER:
                return (struct probe_weeks){{PROBE_NOW, w->written.us[1]}, w->written.len};
        case PROBE_SAME:
                return (struct probe_weeks){{w->batch->rows[0].rec.collected_at}, 1};
        case PROBE_MADE:
        case PROBE_STORED:
                return (struct probe_weeks){{w->written.len > 0 ? w->written.us[0] : PROBE_NOW}, 1};
        }
        return (struct probe_weeks){{PROBE_NOW}, 1};
}

void writer_on_candidates(struct writer *w, const struct pg_result *res)
{
        static const struct pg_error none = {
                .sqlstate = "P0002", .message = "the probe row could not be written"}; /* no_data_found */
        struct probe_weeks weeks = probe_weeks(w);
        struct pg_error error;

        if (!pg_result_sqlstate(res)) {
                probe_read(&w->probe, w->probe.source, res, &weeks, writer_lock_wait(w));
                try_next(w, &none);
                return;
        }
        error = pg_result_error(res);
        on_no_proof(w, &error);
}

void writer_on_probed(struct writer *w, const struct pg_result *res)
{
        struct pg_error error;

        if (!pg_result_sqlstate(res)) {
                on_proof(w);
                return;
        }
        error = pg_result_error(res);
        probe_drop(&w->probe);
        if (probe_may_go_on(&w->probe, error.sqlstate))
                try_next(w, &error);
        else
                try_other_weeks(w, &error);
}

/* --- ad objects that are gone --- */

static int compare_uuids(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct uuid));
}

/* Sends a query about the batch's ad objects. */
static void ask_for_objects(struct writer *w, enum writer_state state, const char *sql)
{
        size_t n = w->batch->len;
        struct uuid *ids = must_malloc(n * sizeof(*ids));

        for (size_t i = 0; i < n; i++)
                ids[i] = w->batch->rows[i].rec.ad_object_id;
        qsort(ids, n, sizeof(*ids), compare_uuids);
        w->arrays[0].len = 0;
        pg_array_begin(&w->arrays[0], PG_OID_UUID, n);
        for (size_t i = 0; i < n; i++)
                pg_array_add_uuid(&w->arrays[0], &ids[i]);
        free(ids);
        writer_enter(w, state);
        writer_query_arrays(w, sql, 1);
}

/* Removes the rows whose ad objects are in @res. */
static void remove_rows(struct writer *w, const struct pg_result *res,
                        void (*take)(void *ctx, const struct row *row), void *ctx)
{
        size_t n = (size_t)pg_result_rows(res);
        struct uuid *ids = must_malloc((n ? n : 1) * sizeof(*ids));

        for (size_t i = 0; i < n; i++)
                ids[i] = pg_result_uuid(res, (int)i, 0);
        qsort(ids, n, sizeof(*ids), compare_uuids);
        for (size_t i = w->batch->len; i-- > 0;) {
                struct row row = w->batch->rows[i];

                if (!bsearch(&row.rec.ad_object_id, ids, n, sizeof(*ids), compare_uuids))
                        continue;
                batch_remove(w->batch, i);
                take(ctx, &row);
        }
        free(ids);
}

void writer_on_missing(struct writer *w, const struct pg_result *res)
{
        size_t before = w->batch->len;

        remove_rows(w, res, w->ops->on_missing, w->ctx);
        if (w->batch->len == 0) {
                batch_free(writer_detach_batch(w));
                pg_conn_served(&w->conn);
                writer_become_idle(w);
        } else if (w->batch->len < before || w->retries++ < RETRIES_MAX) {
                writer_start_batch(w);
        } else {
                blame(w); /* a foreign key that is not part of our schema */
        }
}

/* --- locks of other sessions --- */

enum lock_wait writer_lock_wait(const struct writer *w)
{
        bool met = w->lock_met > 0 && uv_now(w->conn.loop) - w->lock_met < LOCK_MET_MS;

        return met || w->batch->suspicion.failures > 0 ? LOCK_WAIT_BRIEF : LOCK_WAIT_LONG;
}

/* Only a long wait begins a new time of brief waits: otherwise the daemon's own locks could prolong it without end. */
static void note_lock(struct writer *w)
{
        if (w->wait == LOCK_WAIT_LONG)
                w->lock_met = uv_now(w->conn.loop);
}

void writer_find_locked(struct writer *w)
{
        ask_for_objects(w, WRITER_LOCKED, ad_object_locked_sql);
}

static void add_to_batch(void *ctx, const struct row *row)
{
        batch_add_take(ctx, row);
}

/* The rows of locked objects rest together, and are asked for again: no try of theirs waits for the lock. NULL: there are
 * none. */
static struct batch *take_locked(struct writer *w, const struct pg_result *res)
{
        struct batch *locked = batch_new_part(w->batch, w->batch->len);
        char more[MORE_BYTES];

        remove_rows(w, res, add_to_batch, locked);
        if (locked->len == 0) {
                batch_free(locked);
                return NULL;
        }
        locked->suspicion = w->batch->suspicion;
        locked->suspicion.failures++;
        locked->locked = true;
        locked->doubtful = true;
        locked->due = uv_now(w->conn.loop) + suspect_pause_ms(&locked->suspicion);
        if (!w->batch->locked && may_tell(w, more))
                log_warn(
                        "database, %s: %zu rows wait for a lock on their ad objects%s (look for a long transaction in "
                        "pg_stat_activity)",
                        w->name, locked->len, more);
        return locked;
}

void writer_on_locked(struct writer *w, const struct pg_result *res)
{
        bool was_locked = w->batch->locked;
        struct batch *locked = take_locked(w, res);

        if (!locked && !was_locked) {
                blame(w); /* another lock */
                return;
        }
        if (locked)
                w->ops->on_return(w->ctx, locked);
        if (w->batch->len == 0) {
                batch_free(writer_detach_batch(w));
                writer_become_idle(w);
                return;
        }
        w->batch->locked = false;
        w->batch->suspicion.failures = 0;
        writer_start_batch(w);
}

/* --- the error --- */

static void merge_instead(struct writer *w)
{
        w->batch->merge = true;
        writer_start_batch(w);
}

static void retry_or_blame(struct writer *w)
{
        w->batch->merge = true; /* a merge sorts by key, so two writers lock in the same order */
        if (strcmp(w->error.sqlstate, SQLSTATE_LOCK_TIMEOUT) == 0) {
                note_lock(w);
                writer_find_locked(w);
        } else if (w->retries++ < RETRIES_MAX) {
                writer_start_batch(w);
        } else {
                blame(w);
        }
}

void writer_on_error(struct writer *w)
{
        bool known = sqlstate_action(w->error.sqlstate) == SQLSTATE_MERGE && !w->batch->merge;

        w->failures += !known; /* a batch with rows that are stored already is merged: not a failure */
        log_debug("database, %s: %zu rows not written: %s (SQLSTATE %s)", w->name, w->batch->len,
                  w->error.message, w->error.sqlstate);
        switch (sqlstate_action(w->error.sqlstate)) {
        case SQLSTATE_MERGE:
                if (w->batch->merge) {
                        blame(w); /* ON CONFLICT met another unique index, which the operator added */
                        return;
                }
                w->habit = WRITER_MERGES;
                merge_instead(w);
                return;
        case SQLSTATE_MISSING:
                ask_for_objects(w, WRITER_MISSING, ad_object_missing_sql);
                return;
        case SQLSTATE_RETRY:
                retry_or_blame(w);
                return;
        case SQLSTATE_ISOLATE:
                blame(w);
                return;
        case SQLSTATE_SUSPECT:
        case SQLSTATE_SERVER:
                if (w->fk_by_batch && !w->batch->merge)
                        merge_instead(w); /* the check of the objects may be at fault */
                else
                        blame(w);
                return;
        }
}
