/* The happy path, for a batch: BEGIN, with locks; upsert the accounts; ask what the database knows of the
 * objects, their accounts and parents; decide which objects are right; upsert those; COMMIT; settle. That is
 * at most five round trips, however many records there are. New objects get their ids here, so that a parent
 * and its child can go into one statement.
 *
 * What was decided must still hold when it is written: no other worker or daemon may meanwhile change the
 * level of a parent. So whoever writes objects of an account holds an advisory lock for it. Row locks on
 * parents would not do: two that share a parent's, and then both want to write it, wait for each other in a
 * circle. There are a few locks, on which accounts are spread by a hash: the server has room for a few
 * thousand in all. They are taken in order, before anything else is locked.
 *
 * What can go wrong is told by the SQLSTATE:
 * - a foreign key is missing (23503): between asking and writing somebody deleted an account or a parent, or
 *   made the same parent with another id. Deadlocks and the like. All of it is tried again.
 * - a row that the server refuses: the rows of the transaction are halved until it stands alone. They are
 *   written in order, so that parents are always there before their children.
 * - a matter of the server's or the operator's: the connection is given up, and the batch written when there
 *   is a new one.
 * - anything else: the same, where an ordinary row cannot be inserted, either. Else it is tried a few times
 * more, and then as if a row were to blame; but the row that stands alone then is refused only if it fails
 * once more right behind an ordinary one that could be inserted.
 *
 * When the connection is lost in COMMIT, all is written again: what was stored is then as given. */
#include "hierarchy/hierarchy_writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "hierarchy/hierarchy_verdict.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "pg/pg_array.h"
#include "wire/refusal.h"

enum {
        RETRIES_MAX = 10,
        LOCKS_CLASS = 1651470953, /* the first number of our advisory locks: "bori" */
};

/* The columns of ad_account_upsert_sql's and ad_object_resolve_sql's results. */
enum { ACCOUNT_NUMBER, ACCOUNT_KNOWN, ACCOUNT_WRITTEN, ACCOUNT_NEW };
enum {
        RESOLVE_NUMBER,
        RESOLVE_ACCOUNTS,
        RESOLVE_ACCOUNT,
        RESOLVE_OBJECT,
        RESOLVE_OBJECT_TYPE,
        RESOLVE_CHILDREN,
        RESOLVE_OLD_PARENT,
        RESOLVE_PARENT,
        RESOLVE_PARENT_TYPE,
};

static void start_transaction(struct hierarchy_writer *w);

/* --- statements --- */

static void begin_params(struct hierarchy_writer *w, const enum pg_oid *oids, int len)
{
        for (int i = 0; i < len; i++) {
                w->params[i].len = 0;
                pg_array_begin(&w->params[i], oids[i], 0); /* the length follows, see send_query */
        }
}

/* Sends @sql; the first @accounts_params parameters have an element for each of the batch's accounts, the
 * others for each row asked for. */
static void send_query(struct hierarchy_writer *w, const char *sql, int params_len, int accounts_params)
{
        const char *params[HIERARCHY_WRITER_PARAMS_MAX];
        int bytes[HIERARCHY_WRITER_PARAMS_MAX];

        for (int i = 0; i < params_len; i++) {
                pg_array_set_len(&w->params[i], i < accounts_params ? w->batch->accounts_len : w->asked_len);
                params[i] = w->params[i].data;
                bytes[i] = (int)w->params[i].len;
        }
        pg_conn_query(&w->conn, sql, params_len, params, bytes);
}

static void ask_for(struct hierarchy_writer *w, size_t row)
{
        if (w->asked_len == w->asked_cap)
                w->asked = array_grow(w->asked, &w->asked_cap, sizeof(*w->asked));
        w->asked[w->asked_len++] = (uint32_t)row;
}

/* The row of the result's row @i. */
static struct hierarchy_row *asked_row(struct hierarchy_writer *w, const struct pg_result *res, int i)
{
        size_t n = (size_t)pg_result_i32(res, i, 0) - 1;

        assert(n < w->asked_len);
        return &w->batch->rows[w->asked[n]];
}

static void start_transaction(struct hierarchy_writer *w)
{
        char sql[HIERARCHY_LOCKS * 64] = "BEGIN ISOLATION LEVEL READ COMMITTED";
        size_t len = strlen(sql);
        uint64_t locks = 0; /* bit n: lock n */

        w->state = HIERARCHY_WRITER_BEGIN;
        w->started = uv_now(w->conn.loop);
        w->error.sqlstate[0] = '\0';
        for (size_t i = w->start; i < w->end; i++) {
                if (w->batch->rows[i].kind == RECORD_AD_OBJECT)
                        locks |= UINT64_C(1) << w->batch->rows[i].lock;
        }
        for (int n = 0; n < HIERARCHY_LOCKS; n++) {
                if (locks >> n & 1)
                        len += (size_t)snprintf(sql + len, sizeof(sql) - len,
                                                "; SELECT pg_advisory_xact_lock(%d, %d)", LOCKS_CLASS, n);
        }
        pg_conn_command(&w->conn, sql);
}

static void send_commit(struct hierarchy_writer *w)
{
        w->state = HIERARCHY_WRITER_COMMIT;
        pg_conn_command(&w->conn, "COMMIT"); /* of a failed transaction: rolls it back */
}

static void add_nullable(struct buf *param, bool has, struct json_string text)
{
        if (has)
                pg_array_add_text(param, text);
        else
                pg_array_add(param, NULL, 0);
}

static bool send_accounts(struct hierarchy_writer *w)
{
        static const enum pg_oid oids[] = {PG_OID_UUID, PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT};

        w->asked_len = 0;
        begin_params(w, oids, 5);
        for (size_t i = w->start; i < w->end; i++) {
                const struct hierarchy_row *row = &w->batch->rows[i];
                const struct ad_account_record *rec = &row->rec.account;

                if (row->kind != RECORD_AD_ACCOUNT)
                        continue;
                ask_for(w, i);
                pg_array_add_uuid(&w->params[0], &rec->connection_id);
                pg_array_add_text(&w->params[1], rec->external_id);
                add_nullable(&w->params[2], rec->has_name, rec->name);
                pg_array_add(&w->params[3], rec->currency, sizeof(rec->currency));
                pg_array_add_text(&w->params[4], rec->timezone);
        }
        if (w->asked_len == 0)
                return false;
        w->state = HIERARCHY_WRITER_ACCOUNTS;
        send_query(w, ad_account_upsert_sql, 5, 0);
        return true;
}

static void add_named_accounts(struct hierarchy_writer *w)
{
        for (size_t i = 0; i < w->batch->accounts_len; i++) {
                const struct hierarchy_account *a = &w->batch->accounts[i];

                pg_array_add_str(&w->params[0], platform_name(a->platform));
                pg_array_add_uuid(&w->params[1], a->has_connection ? &a->connection_id : NULL);
                pg_array_add_text(&w->params[2], a->external_id);
        }
}

static bool send_resolve(struct hierarchy_writer *w)
{
        static const enum pg_oid oids[] = {PG_OID_TEXT, PG_OID_UUID, PG_OID_TEXT, PG_OID_INT4,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT};

        w->asked_len = 0;
        begin_params(w, oids, 7);
        for (size_t i = w->start; i < w->end; i++) {
                const struct hierarchy_row *row = &w->batch->rows[i];
                const struct ad_object_record *rec = &row->rec.object;

                if (row->kind != RECORD_AD_OBJECT)
                        continue;
                ask_for(w, i);
                pg_array_add_i32(&w->params[3], (int32_t)row->account_number);
                pg_array_add_text(&w->params[4], rec->external_id);
                pg_array_add_str(&w->params[5], ad_object_type_name(rec->type));
                add_nullable(&w->params[6], rec->has_parent, rec->parent_external_id);
        }
        if (w->asked_len == 0)
                return false;
        add_named_accounts(w);
        w->state = HIERARCHY_WRITER_RESOLVE;
        send_query(w, ad_object_resolve_sql, 7, 3);
        return true;
}

static bool send_objects(struct hierarchy_writer *w)
{
        static const enum pg_oid oids[] = {PG_OID_UUID, PG_OID_UUID, PG_OID_TEXT, PG_OID_TEXT,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_UUID, PG_OID_JSONB};

        w->asked_len = 0;
        begin_params(w, oids, 8);
        for (size_t i = w->start; i < w->end; i++) {
                const struct hierarchy_row *row = &w->batch->rows[i];
                const struct ad_object_record *rec = &row->rec.object;

                if (row->kind != RECORD_AD_OBJECT || row->verdict != HIERARCHY_OK)
                        continue;
                ask_for(w, i);
                pg_array_add_uuid(&w->params[0], &row->id);
                pg_array_add_uuid(&w->params[1], &row->account_id);
                pg_array_add_text(&w->params[2], rec->external_id);
                pg_array_add_str(&w->params[3], ad_object_type_name(rec->type));
                add_nullable(&w->params[4], rec->has_name, rec->name);
                pg_array_add_str(&w->params[5], ad_object_status_name(rec->status));
                pg_array_add_uuid(&w->params[6], rec->has_parent ? &row->parent_id : NULL);
                pg_array_add_jsonb(&w->params[7], rec->platform_data);
        }
        if (w->asked_len == 0)
                return false;
        w->state = HIERARCHY_WRITER_OBJECTS;
        send_query(w, ad_object_upsert_sql, 8, 0);
        return true;
}

/* --- answers --- */

static void on_accounts(struct hierarchy_writer *w, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int i = 0; i < rows; i++) {
                struct hierarchy_row *row = asked_row(w, res, i);

                row->written = pg_result_bool(res, i, ACCOUNT_WRITTEN);
                row->verdict =
                        pg_result_bool(res, i, ACCOUNT_KNOWN) ? HIERARCHY_OK : HIERARCHY_UNKNOWN_CONNECTION;
                w->new_accounts |= pg_result_bool(res, i, ACCOUNT_NEW);
        }
}

static enum ad_object_type read_type(const struct pg_result *res, int i, int column)
{
        enum ad_object_type type = AD_OBJECT_TYPE_CAMPAIGN;

        ad_object_type_parse(pg_result_text(res, i, column), &type);
        return type;
}

static struct uuid read_uuid(const struct pg_result *res, int i, int column)
{
        return pg_result_null(res, i, column) ? (struct uuid){0} : pg_result_uuid(res, i, column);
}

static struct hierarchy_answer read_answer(const struct pg_result *res, int i)
{
        struct hierarchy_answer answer = {
                .accounts = pg_result_i64(res, i, RESOLVE_ACCOUNTS),
                .account_id = read_uuid(res, i, RESOLVE_ACCOUNT),
                .has_object = !pg_result_null(res, i, RESOLVE_OBJECT),
                .has_parent = !pg_result_null(res, i, RESOLVE_PARENT),
        };

        if (answer.has_object) {
                answer.object_id = pg_result_uuid(res, i, RESOLVE_OBJECT);
                answer.object_type = read_type(res, i, RESOLVE_OBJECT_TYPE);
                answer.children = pg_result_i64(res, i, RESOLVE_CHILDREN);
                answer.old_parent_id = read_uuid(res, i, RESOLVE_OLD_PARENT);
        }
        if (answer.has_parent) {
                answer.parent_id = pg_result_uuid(res, i, RESOLVE_PARENT);
                answer.parent_type = read_type(res, i, RESOLVE_PARENT_TYPE);
        }
        return answer;
}

/* Judges the rows in their order, so that a parent is judged before its children. */
static void on_resolved(struct hierarchy_writer *w, const struct pg_result *res)
{
        size_t rows = (size_t)pg_result_rows(res);
        int *answers = malloc((rows + 1) * sizeof(*answers));
        int64_t now_ms = clock_now_us() / 1000;

        if (!answers)
                abort();
        assert(rows == w->asked_len);
        for (size_t i = 0; i < rows; i++)
                answers[pg_result_i32(res, (int)i, RESOLVE_NUMBER) - 1] = (int)i;
        for (size_t n = 0; n < rows; n++) {
                struct hierarchy_answer answer = read_answer(res, answers[n]);

                hierarchy_judge(w->batch, w->start, w->asked[n], &answer, now_ms);
        }
        free(answers);
}

static void on_objects(struct hierarchy_writer *w, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int i = 0; i < rows; i++)
                asked_row(w, res, i)->written = true;
}

/* --- settling --- */

/* All rows are settled. */
static void end_batch(struct hierarchy_writer *w)
{
        struct hierarchy_batch *b = w->batch;

        w->batch = NULL;
        w->state = HIERARCHY_WRITER_IDLE;
        w->ops->on_done(w->ctx, b);
}

/* The transaction's rows are settled; on to those that it left. */
static void next_rows(struct hierarchy_writer *w)
{
        pg_conn_served(&w->conn);
        w->start = w->end;
        w->end = w->batch->len;
        w->retries = 0;
        if (w->start == w->end)
                end_batch(w);
        else
                start_transaction(w);
}

static void settle_rows(struct hierarchy_writer *w)
{
        bool written = false;

        for (size_t i = w->start; i < w->end; i++) {
                struct hierarchy_row *row = &w->batch->rows[i];
                struct reject reject;

                written |= row->written;
                if (row->verdict != HIERARCHY_OK) {
                        hierarchy_describe(row, &reject);
                        w->ops->settle(w->ctx, &row->line, LINE_REJECTED, &reject);
                } else {
                        w->ops->settle(w->ctx, &row->line, row->written ? LINE_STORED : LINE_DUPLICATE, NULL);
                }
        }
        if (written || w->new_accounts)
                w->ops->on_written(w->ctx, w->new_accounts);
        w->new_accounts = false;
        next_rows(w);
}

/* --- errors --- */

/* The transaction's only row is to blame. */
static void refuse(struct hierarchy_writer *w)
{
        struct reject reject;

        refuse_by_database(&reject, w->error.sqlstate, w->error.message);
        w->ops->settle(w->ctx, &w->batch->rows[w->start].line, LINE_REJECTED, &reject);
        next_rows(w);
}

static void isolate(struct hierarchy_writer *w)
{
        if (w->end - w->start == 1) {
                refuse(w);
                return;
        }
        w->end = w->start + (w->end - w->start) / 2;
        start_transaction(w);
}

static void give_up_connection(struct hierarchy_writer *w)
{
        pg_conn_give_up(&w->conn, "writing the hierarchy", &w->error);
}

/* Whether it was an account that failed. Of a transaction with objects, too, a failed COMMIT does not tell.
 */
static bool account_failed(const struct hierarchy_writer *w)
{
        return w->failed_in == HIERARCHY_WRITER_ACCOUNTS ||
               (w->failed_in == HIERARCHY_WRITER_COMMIT &&
                w->batch->rows[w->start].kind == RECORD_AD_ACCOUNT);
}

static void take_suspect_step(struct hierarchy_writer *w, enum suspect_step step)
{
        switch (step) {
        case SUSPECT_PROBE:
                w->state = HIERARCHY_WRITER_PROBE;
                pg_conn_command(&w->conn, account_failed(w) ? ad_account_probe_sql : ad_object_probe_sql);
                return;
        case SUSPECT_WAIT:
        case SUSPECT_PAUSE: /* a new connection's pause is one, too */
                give_up_connection(w);
                return;
        case SUSPECT_DIVIDE:
                isolate(w);
                return;
        case SUSPECT_REFUSE:
                refuse(w);
                return;
        }
}

/* What w->error says, no transaction being open. */
static void handle_error(struct hierarchy_writer *w)
{
        log_debug("database, hierarchy: %zu rows not written: %s (SQLSTATE %s)", w->end - w->start,
                  w->error.message, w->error.sqlstate);
        switch (sqlstate_action(w->error.sqlstate)) {
        case SQLSTATE_MISSING:
        case SQLSTATE_RETRY:
                if (w->retries++ < RETRIES_MAX)
                        start_transaction(w);
                else if (sqlstate_action(w->error.sqlstate) == SQLSTATE_MISSING)
                        isolate(w); /* a foreign key of somebody's own */
                else
                        give_up_connection(w);
                return;
        case SQLSTATE_MERGE: /* a unique index of somebody's own */
        case SQLSTATE_ISOLATE:
                isolate(w);
                return;
        case SQLSTATE_SERVER:
                give_up_connection(w);
                return;
        case SQLSTATE_SUSPECT:
                take_suspect_step(w,
                                  suspect_failed(&w->suspicion, w->error.sqlstate, w->end - w->start,
                                                 suspect_proven(w->end - w->start, w->started, w->proven)));
                return;
        }
}

/* --- the connection's events --- */

static void on_success(struct hierarchy_writer *w, const struct pg_result *res)
{
        switch (w->state) {
        case HIERARCHY_WRITER_BEGIN:
                if (send_accounts(w) || send_resolve(w))
                        return;
                break;
        case HIERARCHY_WRITER_ACCOUNTS:
                on_accounts(w, res);
                if (!send_resolve(w))
                        send_commit(w);
                return;
        case HIERARCHY_WRITER_RESOLVE:
                on_resolved(w, res);
                if (!send_objects(w))
                        send_commit(w);
                return;
        case HIERARCHY_WRITER_OBJECTS:
                on_objects(w, res);
                send_commit(w);
                return;
        case HIERARCHY_WRITER_COMMIT:
                if (w->error.sqlstate[0])
                        handle_error(w);
                else
                        settle_rows(w);
                return;
        case HIERARCHY_WRITER_PROBE: /* see on_probed */
        case HIERARCHY_WRITER_DOWN:
        case HIERARCHY_WRITER_IDLE:
                break;
        }
        assert(false); /* no command was in flight, or a batch without rows */
}

static void on_probed(struct hierarchy_writer *w, const struct pg_result *res)
{
        const char *sqlstate = pg_result_sqlstate(res);
        enum suspect_step step =
                suspect_probed(&w->suspicion, w->error.sqlstate, w->end - w->start, !sqlstate);

        if (sqlstate)
                log_debug("database, hierarchy: nor an ordinary row: %s (SQLSTATE %s)",
                          pg_result_message(res), sqlstate);
        if (!sqlstate)
                w->proven = uv_now(w->conn.loop);
        take_suspect_step(w, step);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct hierarchy_writer *w = ctx;

        if (w->state == HIERARCHY_WRITER_PROBE) {
                on_probed(w, res);
                return;
        }
        if (!pg_result_sqlstate(res)) {
                on_success(w, res);
                return;
        }
        if (!w->error.sqlstate[0]) {
                w->error = pg_result_error(res);
                w->failed_in = w->state;
        }
        if (w->state == HIERARCHY_WRITER_COMMIT)
                handle_error(w);
        else
                send_commit(w);
}

static void on_ready(void *ctx)
{
        struct hierarchy_writer *w = ctx;

        w->state = HIERARCHY_WRITER_IDLE;
        if (w->batch)
                start_transaction(w);
        else
                w->ops->on_idle(w->ctx);
}

static void on_lost(void *ctx)
{
        struct hierarchy_writer *w = ctx;

        w->state = HIERARCHY_WRITER_DOWN;
        w->proven = 0;
}

void hierarchy_writer_write_take(struct hierarchy_writer *w, struct hierarchy_batch *batch)
{
        assert(w->state == HIERARCHY_WRITER_IDLE && batch->len > 0);
        w->batch = batch;
        w->start = 0;
        w->end = batch->len;
        w->retries = 0;
        w->suspicion = (struct suspicion){0};
        start_transaction(w);
}

struct hierarchy_batch *hierarchy_writer_drop(struct hierarchy_writer *w, const char *why, size_t *ret_start)
{
        struct hierarchy_batch *b = w->batch;

        if (b)
                pg_conn_drop(&w->conn, why);
        w->batch = NULL;
        *ret_start = w->start;
        return b;
}

void hierarchy_writer_open(struct hierarchy_writer *w, uv_loop_t *loop, const char *url,
                           const struct hierarchy_writer_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready, .on_result = on_result, .on_lost = on_lost};

        *w = (struct hierarchy_writer){.ops = ops, .ctx = ctx};
        pg_conn_open(&w->conn, loop, url, "hierarchy", &conn_ops, w);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct hierarchy_writer *w = container_of(conn, struct hierarchy_writer, conn);

        for (int i = 0; i < HIERARCHY_WRITER_PARAMS_MAX; i++)
                buf_deinit(&w->params[i]);
        free(w->asked);
        w->close_cb(w);
}

void hierarchy_writer_close(struct hierarchy_writer *w, void (*cb)(struct hierarchy_writer *))
{
        assert(!w->batch);
        w->close_cb = cb;
        pg_conn_close(&w->conn, on_conn_closed);
}
