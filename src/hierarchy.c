/* The happy path, for a batch: BEGIN; upsert the accounts; ask what the database knows of the objects, their
 * accounts and parents; decide which objects are right; upsert those; COMMIT; settle. That is at most five
 * statements, however many records there are. New objects get their ids here, so that a parent and its child
 * can go into one statement.
 *
 * What can go wrong is told by the SQLSTATE:
 * - a foreign key is missing (23503): between asking and writing somebody deleted an account or a parent, or
 *   made the same parent with another id. Deadlocks and the like. All of it is tried again.
 * - a row that the server refuses: the rows of the transaction are halved until it stands alone. They are
 *   written in order, so that parents are always there before their children.
 * - a matter of the server's or the operator's: the connection is given up, and the batch written when there
 * is a new one.
 * - anything else: the same, and after a few times as if a row were to blame; but the row that stands alone
 * then is refused only if it fails once more right behind an ordinary one that could be inserted. When the
 * connection is lost in COMMIT, all is written again: what was stored is then as given.
 */
#include "hierarchy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "pg_array.h"
#include "refusal.h"
#include "sqlstate.h"

enum { RETRIES_MAX = 10 };

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

static void start_next(struct hierarchy *h);
static void start_transaction(struct hierarchy *h);

/* --- gathering --- */

static void seal(struct hierarchy *h)
{
        struct hierarchy_batch *b = h->open;

        h->open = NULL;
        uv_timer_stop(&h->linger);
        list_append(&h->sealed, &b->queue);
        h->sealed_len++;
        start_next(h);
}

static void on_linger_over(uv_timer_t *timer)
{
        seal(timer->data);
}

static void open_batch(struct hierarchy *h)
{
        h->open = hierarchy_batch_new(h->memory, ++h->last);
        uv_timer_start(&h->linger, on_linger_over, h->limits.linger_ms, 0);
}

uint64_t hierarchy_add_take(struct hierarchy *h, const struct hierarchy_row *row)
{
        uint64_t number;

        if (!h->open)
                open_batch(h);
        if (!hierarchy_batch_add_take(h->open, row)) {
                seal(h);
                open_batch(h);
                hierarchy_batch_add_take(h->open, row);
        }
        number = h->open->number;
        if (h->open->len >= h->limits.rows || h->open->bytes >= h->limits.bytes)
                seal(h);
        return number;
}

static struct hierarchy_batch *find_batch(struct hierarchy *h, uint64_t number)
{
        if (h->batch && h->batch->number == number)
                return h->batch;
        for (struct list *l = h->sealed.next; l != &h->sealed; l = l->next) {
                struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                if (b->number == number)
                        return b;
        }
        return h->open;
}

void hierarchy_follow_take(struct hierarchy *h, uint64_t number, const struct row *row)
{
        struct hierarchy_batch *b = find_batch(h, number);

        assert(b && b->number == number);
        hierarchy_batch_follow_take(b, row);
        h->followers++;
}

void hierarchy_drain(struct hierarchy *h)
{
        h->limits.linger_ms = 0;
        if (h->open)
                seal(h);
}

/* --- the end of a batch --- */

static void free_batch(struct hierarchy *h, struct hierarchy_batch *b)
{
        struct row row;

        while (hierarchy_batch_unfollow(b, &row)) {
                h->followers--;
                h->ops->on_follower(h->ctx, &row);
        }
        hierarchy_batch_free(b);
}

/* All rows are settled. */
static void end_batch(struct hierarchy *h)
{
        struct hierarchy_batch *b = h->batch;

        h->batch = NULL;
        h->done = b->number;
        h->state = HIERARCHY_IDLE;
        free_batch(h, b);
        start_next(h);
}

static void start_next(struct hierarchy *h)
{
        if (h->state != HIERARCHY_IDLE || list_empty(&h->sealed))
                return;
        h->batch = container_of(h->sealed.next, struct hierarchy_batch, queue);
        list_remove(&h->batch->queue);
        h->sealed_len--;
        h->start = 0;
        h->end = h->batch->len;
        h->retries = 0;
        h->suspicion = (struct suspicion){0};
        start_transaction(h);
}

/* --- statements --- */

static void begin_params(struct hierarchy *h, const enum pg_oid *oids, int len)
{
        for (int i = 0; i < len; i++) {
                h->params[i].len = 0;
                pg_array_begin(&h->params[i], oids[i], 0); /* the length follows, see send_query */
        }
}

/* Sends @sql; the first @accounts_params parameters have an element for each of the batch's accounts, the
 * others for each row asked for. */
static void send_query(struct hierarchy *h, const char *sql, int params_len, int accounts_params)
{
        const char *params[HIERARCHY_PARAMS_MAX];
        int bytes[HIERARCHY_PARAMS_MAX];

        for (int i = 0; i < params_len; i++) {
                pg_array_set_len(&h->params[i], i < accounts_params ? h->batch->accounts_len : h->asked_len);
                params[i] = h->params[i].data;
                bytes[i] = (int)h->params[i].len;
        }
        pg_conn_query(&h->conn, sql, params_len, params, bytes);
}

static void ask_for(struct hierarchy *h, size_t row)
{
        if (h->asked_len == h->asked_cap) {
                h->asked_cap = h->asked_cap ? h->asked_cap * 2 : 64;
                h->asked = realloc(h->asked, h->asked_cap * sizeof(*h->asked));
                if (!h->asked)
                        abort();
        }
        h->asked[h->asked_len++] = (uint32_t)row;
}

/* The row of the result's row @i. */
static struct hierarchy_row *asked_row(struct hierarchy *h, const struct pg_result *res, int i)
{
        size_t n = (size_t)pg_result_i32(res, i, 0) - 1;

        assert(n < h->asked_len);
        return &h->batch->rows[h->asked[n]];
}

static void start_transaction(struct hierarchy *h)
{
        h->state = HIERARCHY_BEGIN;
        h->error.sqlstate[0] = '\0';
        pg_conn_command(&h->conn, "BEGIN");
}

static void send_commit(struct hierarchy *h)
{
        h->state = HIERARCHY_COMMIT;
        pg_conn_command(&h->conn, "COMMIT"); /* of a failed transaction: rolls it back */
}

static void add_nullable(struct buf *param, bool has, struct json_string text)
{
        if (has)
                pg_array_add_text(param, text);
        else
                pg_array_add(param, NULL, 0);
}

static bool send_accounts(struct hierarchy *h)
{
        static const enum pg_oid oids[] = {PG_OID_UUID, PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT};

        h->asked_len = 0;
        begin_params(h, oids, 5);
        for (size_t i = h->start; i < h->end; i++) {
                const struct hierarchy_row *row = &h->batch->rows[i];
                const struct ad_account_record *rec = &row->rec.account;

                if (row->kind != RECORD_AD_ACCOUNT)
                        continue;
                ask_for(h, i);
                pg_array_add_uuid(&h->params[0], &rec->connection_id);
                pg_array_add_text(&h->params[1], rec->external_id);
                add_nullable(&h->params[2], rec->has_name, rec->name);
                pg_array_add(&h->params[3], rec->currency, sizeof(rec->currency));
                pg_array_add_text(&h->params[4], rec->timezone);
        }
        if (h->asked_len == 0)
                return false;
        h->state = HIERARCHY_ACCOUNTS;
        send_query(h, ad_account_upsert_sql, 5, 0);
        return true;
}

static void add_named_accounts(struct hierarchy *h)
{
        for (size_t i = 0; i < h->batch->accounts_len; i++) {
                const struct hierarchy_account *a = &h->batch->accounts[i];

                pg_array_add_str(&h->params[0], platform_name(a->platform));
                pg_array_add_uuid(&h->params[1], a->has_connection ? &a->connection_id : NULL);
                pg_array_add_text(&h->params[2], a->external_id);
        }
}

static bool send_resolve(struct hierarchy *h)
{
        static const enum pg_oid oids[] = {PG_OID_TEXT, PG_OID_UUID, PG_OID_TEXT, PG_OID_INT4,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT};

        h->asked_len = 0;
        begin_params(h, oids, 7);
        for (size_t i = h->start; i < h->end; i++) {
                const struct hierarchy_row *row = &h->batch->rows[i];
                const struct ad_object_record *rec = &row->rec.object;

                if (row->kind != RECORD_AD_OBJECT)
                        continue;
                ask_for(h, i);
                pg_array_add_i32(&h->params[3], (int32_t)row->account_number);
                pg_array_add_text(&h->params[4], rec->external_id);
                pg_array_add_str(&h->params[5], ad_object_type_name(rec->type));
                add_nullable(&h->params[6], rec->has_parent, rec->parent_external_id);
        }
        if (h->asked_len == 0)
                return false;
        add_named_accounts(h);
        h->state = HIERARCHY_RESOLVE;
        send_query(h, ad_object_resolve_sql, 7, 3);
        return true;
}

static bool send_objects(struct hierarchy *h)
{
        static const enum pg_oid oids[] = {PG_OID_UUID, PG_OID_UUID, PG_OID_TEXT, PG_OID_TEXT,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_UUID, PG_OID_JSONB};

        h->asked_len = 0;
        begin_params(h, oids, 8);
        for (size_t i = h->start; i < h->end; i++) {
                const struct hierarchy_row *row = &h->batch->rows[i];
                const struct ad_object_record *rec = &row->rec.object;

                if (row->kind != RECORD_AD_OBJECT || row->verdict != HIERARCHY_OK)
                        continue;
                ask_for(h, i);
                pg_array_add_uuid(&h->params[0], &row->id);
                pg_array_add_uuid(&h->params[1], &row->account_id);
                pg_array_add_text(&h->params[2], rec->external_id);
                pg_array_add_str(&h->params[3], ad_object_type_name(rec->type));
                add_nullable(&h->params[4], rec->has_name, rec->name);
                pg_array_add_str(&h->params[5], ad_object_status_name(rec->status));
                pg_array_add_uuid(&h->params[6], rec->has_parent ? &row->parent_id : NULL);
                pg_array_add_jsonb(&h->params[7], rec->platform_data);
        }
        if (h->asked_len == 0)
                return false;
        h->state = HIERARCHY_OBJECTS;
        send_query(h, ad_object_upsert_sql, 8, 0);
        return true;
}

/* --- answers --- */

static void on_accounts(struct hierarchy *h, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int i = 0; i < rows; i++) {
                struct hierarchy_row *row = asked_row(h, res, i);

                row->written = pg_result_bool(res, i, ACCOUNT_WRITTEN);
                row->verdict =
                        pg_result_bool(res, i, ACCOUNT_KNOWN) ? HIERARCHY_OK : HIERARCHY_UNKNOWN_CONNECTION;
                h->new_accounts |= pg_result_bool(res, i, ACCOUNT_NEW);
        }
}

static enum ad_object_type read_type(const struct pg_result *res, int i, int column)
{
        enum ad_object_type type = AD_OBJECT_TYPE_CAMPAIGN;

        ad_object_type_parse(pg_result_text(res, i, column), &type);
        return type;
}

static bool may_be_parent(enum ad_object_type parent, enum ad_object_type child)
{
        return parent == AD_OBJECT_TYPE_CAMPAIGN
                       ? child != AD_OBJECT_TYPE_CAMPAIGN
                       : parent == AD_OBJECT_TYPE_AD_SET && child == AD_OBJECT_TYPE_AD;
}

/* The parent: the row of this transaction that makes it, else what the database has. */
static enum hierarchy_verdict find_parent(struct hierarchy *h, struct hierarchy_row *row,
                                          const struct pg_result *res, int i)
{
        const struct hierarchy_row *parent = NULL;
        enum ad_object_type type;

        if (row->parent_row >= 0 && (size_t)row->parent_row >= h->start)
                parent = &h->batch->rows[row->parent_row];
        if (parent && parent->verdict == HIERARCHY_OK && uuid_eq(&parent->account_id, &row->account_id)) {
                row->parent_id = parent->id;
                type = parent->rec.object.type;
        } else if (!pg_result_null(res, i, RESOLVE_PARENT)) {
                row->parent_id = pg_result_uuid(res, i, RESOLVE_PARENT);
                type = read_type(res, i, RESOLVE_PARENT_TYPE);
        } else {
                return HIERARCHY_UNKNOWN_PARENT;
        }
        row->other_type = type;
        return may_be_parent(type, row->rec.object.type) ? HIERARCHY_OK : HIERARCHY_PARENT_LEVEL;
}

/* Whether any of the object's @children stays, when the rows of this transaction before it are written. A row
 * that made one its child, or named it as its parent, would have ended the batch before this one. */
static bool keeps_children(const struct hierarchy *h, const struct hierarchy_row *row, int64_t children)
{
        for (const struct hierarchy_row *other = &h->batch->rows[h->start]; other < row && children > 0;
             other++)
                children -= other->kind == RECORD_AD_OBJECT && other->verdict == HIERARCHY_OK &&
                            uuid_eq(&other->old_parent_id, &row->id);
        return children > 0;
}

static enum hierarchy_verdict judge(struct hierarchy *h, struct hierarchy_row *row,
                                    const struct pg_result *res, int i, int64_t now_ms)
{
        bool is_new = pg_result_null(res, i, RESOLVE_OBJECT);

        row->written = false;
        row->accounts = pg_result_i64(res, i, RESOLVE_ACCOUNTS);
        if (row->accounts != 1)
                return HIERARCHY_NOT_ONE_ACCOUNT;
        row->account_id = pg_result_uuid(res, i, RESOLVE_ACCOUNT);
        row->id = is_new ? uuid_v7(now_ms) : pg_result_uuid(res, i, RESOLVE_OBJECT);
        row->old_parent_id = pg_result_null(res, i, RESOLVE_OLD_PARENT)
                                     ? (struct uuid){0}
                                     : pg_result_uuid(res, i, RESOLVE_OLD_PARENT);
        if (!is_new && keeps_children(h, row, pg_result_i64(res, i, RESOLVE_CHILDREN))) {
                row->other_type = read_type(res, i, RESOLVE_OBJECT_TYPE);
                return HIERARCHY_TYPE_HAS_CHILDREN;
        }
        return row->rec.object.has_parent ? find_parent(h, row, res, i) : HIERARCHY_OK;
}

/* Judges the rows in their order, so that a parent is judged before its children. */
static void on_resolved(struct hierarchy *h, const struct pg_result *res)
{
        size_t rows = (size_t)pg_result_rows(res);
        int *answers = malloc((rows + 1) * sizeof(*answers));
        int64_t now_ms = clock_now_us() / 1000;

        if (!answers)
                abort();
        assert(rows == h->asked_len);
        for (size_t i = 0; i < rows; i++)
                answers[pg_result_i32(res, (int)i, RESOLVE_NUMBER) - 1] = (int)i;
        for (size_t n = 0; n < rows; n++) {
                struct hierarchy_row *row = &h->batch->rows[h->asked[n]];

                row->verdict = judge(h, row, res, answers[n], now_ms);
        }
        free(answers);
}

static void on_objects(struct hierarchy *h, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int i = 0; i < rows; i++)
                asked_row(h, res, i)->written = true;
}

/* --- settling --- */

static void describe_level(const struct hierarchy_row *row, const char *parent, struct reject *ret)
{
        bool is_ad = row->rec.object.type == AD_OBJECT_TYPE_AD;

        reject_set(ret, REJECT_BAD_VALUE, "parentExternalId",
                   "the parent of an %s must be %s, but ad object %s is an ad object of type %s",
                   ad_object_type_name(row->rec.object.type),
                   is_ad ? "an AD_SET or a CAMPAIGN" : "a CAMPAIGN", parent,
                   ad_object_type_name(row->other_type));
}

static void describe(const struct hierarchy_row *row, struct reject *ret)
{
        const struct ad_object_record *rec = &row->rec.object;
        char text[UUID_TEXT_LEN + 1];
        char account[EXTERNAL_ID_MAX + 1];
        char parent[EXTERNAL_ID_MAX + 1];

        if (row->verdict == HIERARCHY_UNKNOWN_CONNECTION) {
                uuid_format(&row->rec.account.connection_id, text);
                reject_set(ret, REJECT_BAD_VALUE, "connectionId",
                           "no platform connection %s: make it with boris-ingestd connection create", text);
                return;
        }
        external_id_decode(rec->account_external_id, account);
        if (rec->has_parent)
                external_id_decode(rec->parent_external_id, parent);
        switch (row->verdict) {
        case HIERARCHY_NOT_ONE_ACCOUNT:
                refuse_account(ret, row->accounts, rec->platform, account,
                               rec->has_connection ? &rec->connection_id : NULL);
                break;
        case HIERARCHY_UNKNOWN_PARENT:
                refuse_object(ret, "parentExternalId", parent, account);
                break;
        case HIERARCHY_PARENT_LEVEL:
                describe_level(row, parent, ret);
                break;
        case HIERARCHY_TYPE_HAS_CHILDREN:
                reject_set(ret, REJECT_BAD_VALUE, "type",
                           "the ad object is there as a %s with objects below it: its type cannot become %s",
                           ad_object_type_name(row->other_type), ad_object_type_name(rec->type));
                break;
        case HIERARCHY_UNKNOWN_CONNECTION:
        case HIERARCHY_OK:
                break;
        }
}

/* The transaction's rows are settled; on to those that it left. */
static void next_rows(struct hierarchy *h)
{
        pg_conn_served(&h->conn);
        h->start = h->end;
        h->end = h->batch->len;
        h->retries = 0;
        h->suspicion.server_works = false;
        if (h->start == h->end)
                end_batch(h);
        else
                start_transaction(h);
}

static void settle_rows(struct hierarchy *h)
{
        bool written = false;

        for (size_t i = h->start; i < h->end; i++) {
                struct hierarchy_row *row = &h->batch->rows[i];
                struct reject reject;

                written |= row->written;
                if (row->verdict != HIERARCHY_OK) {
                        describe(row, &reject);
                        h->ops->settle(h->ctx, &row->line, LINE_REJECTED, &reject);
                } else {
                        h->ops->settle(h->ctx, &row->line, row->written ? LINE_STORED : LINE_DUPLICATE, NULL);
                }
        }
        if (written || h->new_accounts)
                h->ops->on_written(h->ctx, h->new_accounts);
        h->new_accounts = false;
        next_rows(h);
}

/* --- errors --- */

/* The transaction's only row is to blame. */
static void refuse(struct hierarchy *h)
{
        struct reject reject;

        refuse_by_database(&reject, &h->error);
        h->ops->settle(h->ctx, &h->batch->rows[h->start].line, LINE_REJECTED, &reject);
        next_rows(h);
}

static void isolate(struct hierarchy *h)
{
        if (h->end - h->start == 1) {
                refuse(h);
                return;
        }
        h->end = h->start + (h->end - h->start) / 2;
        start_transaction(h);
}

static void give_up_connection(struct hierarchy *h)
{
        pg_conn_give_up(&h->conn, "writing the hierarchy", &h->error);
}

static void handle_suspect(struct hierarchy *h)
{
        const struct hierarchy_row *row = &h->batch->rows[h->start];

        switch (suspect_next(&h->suspicion, h->end - h->start)) {
        case SUSPECT_PAUSE:
                give_up_connection(h);
                return;
        case SUSPECT_HALVE:
                isolate(h);
                return;
        case SUSPECT_PROBE:
                h->state = HIERARCHY_PROBE;
                pg_conn_command(&h->conn,
                                row->kind == RECORD_AD_ACCOUNT ? ad_account_probe_sql : ad_object_probe_sql);
                return;
        case SUSPECT_REFUSE:
                refuse(h);
                return;
        }
}

/* What h->error says, no transaction being open. */
static void handle_error(struct hierarchy *h)
{
        log_debug("database, hierarchy: %zu rows not written: %s (SQLSTATE %s)", h->end - h->start,
                  h->error.message, h->error.sqlstate);
        switch (sqlstate_action(h->error.sqlstate)) {
        case SQLSTATE_MISSING:
        case SQLSTATE_RETRY:
                if (h->retries++ < RETRIES_MAX)
                        start_transaction(h);
                else if (sqlstate_action(h->error.sqlstate) == SQLSTATE_MISSING)
                        isolate(h); /* a foreign key of somebody's own */
                else
                        give_up_connection(h);
                return;
        case SQLSTATE_MERGE: /* a unique index of somebody's own */
        case SQLSTATE_ISOLATE:
                isolate(h);
                return;
        case SQLSTATE_RECONNECT:
                give_up_connection(h);
                return;
        case SQLSTATE_SUSPECT:
                handle_suspect(h);
                return;
        }
}

/* --- giving up --- */

static void evacuate_batch(struct hierarchy *h, struct hierarchy_batch *b, size_t start,
                           void (*cb)(void *ctx, struct line *line), void *ctx)
{
        struct row row;

        for (size_t i = start; i < b->len; i++)
                cb(ctx, &b->rows[i].line);
        while (hierarchy_batch_unfollow(b, &row)) {
                h->followers--;
                cb(ctx, &row.line);
        }
        hierarchy_batch_free(b);
}

void hierarchy_evacuate(struct hierarchy *h, const char *why, void (*cb)(void *ctx, struct line *line),
                        void *ctx)
{
        if (h->batch) {
                pg_conn_drop(&h->conn, why);
                evacuate_batch(h, h->batch, h->start, cb, ctx);
                h->batch = NULL;
        }
        while (!list_empty(&h->sealed)) {
                struct hierarchy_batch *b = container_of(h->sealed.next, struct hierarchy_batch, queue);

                list_remove(&b->queue);
                h->sealed_len--;
                evacuate_batch(h, b, 0, cb, ctx);
        }
        if (h->open) {
                uv_timer_stop(&h->linger);
                evacuate_batch(h, h->open, 0, cb, ctx);
                h->open = NULL;
        }
        h->done = h->last;
}

/* --- the connection's events --- */

static void on_success(struct hierarchy *h, const struct pg_result *res)
{
        switch (h->state) {
        case HIERARCHY_BEGIN:
                if (send_accounts(h) || send_resolve(h))
                        return;
                break;
        case HIERARCHY_ACCOUNTS:
                on_accounts(h, res);
                if (!send_resolve(h))
                        send_commit(h);
                return;
        case HIERARCHY_RESOLVE:
                on_resolved(h, res);
                if (!send_objects(h))
                        send_commit(h);
                return;
        case HIERARCHY_OBJECTS:
                on_objects(h, res);
                send_commit(h);
                return;
        case HIERARCHY_COMMIT:
                if (h->error.sqlstate[0])
                        handle_error(h);
                else
                        settle_rows(h);
                return;
        case HIERARCHY_PROBE: /* see on_probed */
        case HIERARCHY_DOWN:
        case HIERARCHY_IDLE:
                break;
        }
        assert(false); /* no command was in flight, or a batch without rows */
}

static void on_probed(struct hierarchy *h, const struct pg_result *res)
{
        if (suspect_probed(&h->suspicion, pg_result_sqlstate(res)))
                start_transaction(h);
        else
                give_up_connection(h);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct hierarchy *h = ctx;

        if (h->state == HIERARCHY_PROBE) {
                on_probed(h, res);
                return;
        }
        if (!pg_result_sqlstate(res)) {
                on_success(h, res);
                return;
        }
        if (!h->error.sqlstate[0])
                h->error = pg_result_error(res);
        if (h->state == HIERARCHY_BEGIN)
                give_up_connection(h);
        else if (h->state == HIERARCHY_COMMIT)
                handle_error(h);
        else
                send_commit(h);
}

static void on_ready(void *ctx)
{
        struct hierarchy *h = ctx;

        h->state = HIERARCHY_IDLE;
        if (h->batch)
                start_transaction(h);
        else
                start_next(h);
}

static void on_lost(void *ctx)
{
        struct hierarchy *h = ctx;

        h->state = HIERARCHY_DOWN;
}

void hierarchy_open(struct hierarchy *h, uv_loop_t *loop, const char *url, struct memory *memory,
                    const struct hierarchy_limits *limits, const struct hierarchy_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready, .on_result = on_result, .on_lost = on_lost};

        *h = (struct hierarchy){.memory = memory, .limits = *limits, .ops = ops, .ctx = ctx};
        list_init(&h->sealed);
        uv_timer_init(loop, &h->linger);
        h->linger.data = h;
        pg_conn_open(&h->conn, loop, url, "hierarchy", &conn_ops, h);
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct hierarchy *h = handle->data;

        for (int i = 0; i < HIERARCHY_PARAMS_MAX; i++)
                buf_deinit(&h->params[i]);
        free(h->asked);
        h->close_cb(h);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct hierarchy *h = container_of(conn, struct hierarchy, conn);

        uv_close((uv_handle_t *)&h->linger, on_timer_closed);
}

void hierarchy_close(struct hierarchy *h, void (*cb)(struct hierarchy *))
{
        assert(!h->open && !h->batch && h->sealed_len == 0);
        h->close_cb = cb;
        pg_conn_close(&h->conn, on_conn_closed);
}
