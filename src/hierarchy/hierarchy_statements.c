#include "hierarchy/hierarchy_statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "model/fits.h"
#include "pg/pg_array.h"
#include "pg/pg_params.h"
#include "wire/rules.h"

enum { LOCKS_CLASS = 1651470953 }; /* the class (first number) of our advisory locks: "bori" */

/* A transaction waits at most one second for a lock, and less with rows that are already suspect, so that
 * one held lock does not stop everything. The isolation level is set here, whatever the role's default:
 * objects must be read after the locks were acquired. */
static const char begin_sql[] =
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '1s'; " FITS_HOLD_HIERARCHY_SQL;
static const char wait_less_sql[] = "SET LOCAL lock_timeout = '100ms'";

/* Columns in the answers of ad_account_upsert_sql, ad_object_upsert_sql and ad_object_resolve_sql. */
enum { WRITE_NUMBER, WRITE_OUTCOME, WRITE_KNOWN, WRITE_NEW };
enum {
        RESOLVE_NUMBER,
        RESOLVE_ACCOUNTS,
        RESOLVE_ACCOUNT,
        RESOLVE_OBJECT, /* and its type */
        RESOLVE_CHILDREN = RESOLVE_OBJECT + 2,
        RESOLVE_OLD_PARENT,
        RESOLVE_PARENT, /* and its type */
        RESOLVE_DIFFERS = RESOLVE_PARENT + 2,
};

void hierarchy_statements_deinit(struct hierarchy_statements *s)
{
        for (int i = 0; i < HIERARCHY_PARAMS_MAX; i++)
                buf_deinit(&s->params[i]);
        free(s->asked);
        free(s->answers);
        free(s->numbers);
}

void hierarchy_statements_begin(struct hierarchy_statements *s, struct hierarchy_batch *b)
{
        s->batch = b;
        s->start = b->start;
        s->end = hierarchy_batch_end(b);
}

/* --- parameters --- */

static void begin_params(struct hierarchy_statements *s, const enum pg_oid *oids, int len)
{
        s->asked_len = 0;
        for (int i = 0; i < len; i++) {
                s->params[i].len = 0;
                pg_array_begin(&s->params[i], oids[i], 0); /* end_params sets the length */
        }
}

/* Sets the arrays' lengths: the first @places_params arrays have an element for each place, any further array has one for
 * each row asked for. */
static void end_params(struct hierarchy_statements *s, int len, int places_params, struct pg_params *ret)
{
        *ret = (struct pg_params){0};
        for (int i = 0; i < len; i++)
                pg_array_set_len(&s->params[i], i < places_params ? s->places : s->asked_len);
        pg_params_add_bufs(ret, s->params, len);
}

static void ask_for(struct hierarchy_statements *s, size_t row)
{
        if (s->asked_len == s->asked_cap)
                s->asked = array_grow(s->asked, &s->asked_cap, sizeof(*s->asked));
        s->asked[s->asked_len++] = (uint32_t)row;
}

static void add_nullable(struct buf *param, bool has, struct json_string text)
{
        if (has)
                pg_array_add_text(param, text);
        else
                pg_array_add(param, NULL, 0);
}

/* --- statements --- */

void hierarchy_send_begin(const struct hierarchy_statements *s, struct pg_conn *conn)
{
        char sql[sizeof(begin_sql) + sizeof(wait_less_sql) + HIERARCHY_LOCKS * 64];
        size_t len = (size_t)snprintf(sql, sizeof(sql), "%s", begin_sql);
        uint64_t locks = 0; /* bit n: lock n */

        for (size_t i = s->start; i < s->end; i++) {
                if (s->batch->rows[i].kind == RECORD_AD_OBJECT)
                        locks |= UINT64_C(1) << s->batch->rows[i].lock;
        }
        for (int n = 0; n < HIERARCHY_LOCKS; n++) {
                if (locks >> n & 1)
                        len += (size_t)snprintf(sql + len, sizeof(sql) - len,
                                                "SELECT pg_advisory_xact_lock(%d, %d); ", LOCKS_CLASS, n);
        }
        if (s->batch->parts > 0 || s->batch->suspicion.failures > 0)
                snprintf(sql + len, sizeof(sql) - len, "%s", wait_less_sql);
        pg_conn_command(conn, sql);
}

static void add_platforms(struct buf *param, const struct rules *client)
{
        char platforms[RULES_PLATFORMS_BYTES];

        if (!client || rules_any_platform(client)) {
                pg_array_add(param, NULL, 0);
                return;
        }
        rules_list_platforms(client, platforms);
        pg_array_add_str(param, platforms);
}

bool hierarchy_send_accounts(struct hierarchy_statements *s, struct pg_conn *conn)
{
        static const enum pg_oid oids[] = {PG_OID_UUID, PG_OID_TEXT, PG_OID_TEXT,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT};
        struct pg_params params;

        begin_params(s, oids, 6);
        for (size_t i = s->start; i < s->end; i++) {
                const struct hierarchy_row *row = &s->batch->rows[i];
                const struct ad_account_record *rec = &row->rec.account;

                if (row->kind != RECORD_AD_ACCOUNT)
                        continue;
                ask_for(s, i);
                pg_array_add_uuid(&s->params[0], &rec->connection_id);
                pg_array_add_text(&s->params[1], rec->external_id);
                add_nullable(&s->params[2], rec->has_name, rec->name);
                pg_array_add(&s->params[3], rec->currency, sizeof(rec->currency));
                pg_array_add_text(&s->params[4], rec->timezone);
                add_platforms(&s->params[5], row->line.client);
        }
        if (s->asked_len == 0)
                return false;
        end_params(s, 6, 0, &params);
        pg_conn_execute(conn, AD_ACCOUNT_UPSERT, &params);
        return true;
}

static void forget_numbers(struct hierarchy_statements *s)
{
        size_t len = s->batch->accounts_len;

        if (s->numbers_cap < len) {
                free(s->numbers);
                s->numbers = must_malloc(len * sizeof(*s->numbers));
                s->numbers_cap = len;
        }
        if (len > 0)
                memset(s->numbers, 0, len * sizeof(*s->numbers));
}

static void add_place(struct hierarchy_statements *s, const struct hierarchy_account *a,
                      const struct uuid *connection)
{
        pg_array_add_str(&s->params[0], platform_name(a->platform));
        pg_array_add_uuid(&s->params[1], connection);
        pg_array_add_text(&s->params[2], a->external_id);
        pg_array_add_i32(&s->params[3], (int32_t)s->accounts);
        s->places++;
}

static void add_places(struct hierarchy_statements *s, const struct hierarchy_account *a)
{
        if (!rules_is_scoped(a->client, a->has_connection)) {
                add_place(s, a, a->has_connection ? &a->connection_id : NULL);
                return;
        }
        for (size_t i = 0; i < a->client->connections_len; i++)
                add_place(s, a, &a->client->connections[i]);
        if (a->client->connections_len == 0)
                add_place(s, a, &(struct uuid){0}); /* which is no connection's */
}

/* The number of the row's account among those that the statement names so far. */
static uint32_t name_account(struct hierarchy_statements *s, const struct hierarchy_row *row)
{
        const struct hierarchy_account *a = &s->batch->accounts[row->account_number - 1];
        uint32_t *number = &s->numbers[row->account_number - 1];

        if (*number == 0) {
                *number = ++s->accounts;
                add_places(s, a);
        }
        return *number;
}

bool hierarchy_send_resolve(struct hierarchy_statements *s, struct pg_conn *conn)
{
        static const enum pg_oid oids[] = {PG_OID_TEXT, PG_OID_UUID, PG_OID_TEXT,  PG_OID_INT4,
                                           PG_OID_INT4, PG_OID_TEXT, PG_OID_TEXT,  PG_OID_TEXT,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_JSONB, PG_OID_INT4};
        struct pg_params params;

        begin_params(s, oids, 12);
        s->accounts = 0;
        s->places = 0;
        forget_numbers(s);
        for (size_t i = s->start; i < s->end; i++) {
                const struct hierarchy_row *row = &s->batch->rows[i];
                const struct ad_object_record *rec = &row->rec.object;

                if (row->kind != RECORD_AD_OBJECT)
                        continue;
                ask_for(s, i);
                pg_array_add_i32(&s->params[4], (int32_t)name_account(s, row));
                pg_array_add_text(&s->params[5], rec->external_id);
                pg_array_add_str(&s->params[6], ad_object_type_name(rec->type));
                add_nullable(&s->params[7], hierarchy_asks_for_parent(s->batch, s->start, i),
                             rec->parent_external_id);
                add_nullable(&s->params[8], rec->has_name, rec->name);
                pg_array_add_str(&s->params[9], ad_object_status_name(rec->status));
                pg_array_add_jsonb(&s->params[10], rec->platform_data);
                pg_array_add_i32(&s->params[11], (int32_t)s->asked_len);
        }
        if (s->asked_len == 0)
                return false;
        end_params(s, 12, 4, &params);
        if (s->places <= AD_OBJECT_PLACES_PREPARED)
                pg_conn_execute(conn, AD_OBJECT_RESOLVE, &params);
        else
                pg_conn_query(conn, ad_object_resolve_sql, &params);
        return true;
}

bool hierarchy_send_objects(struct hierarchy_statements *s, struct pg_conn *conn)
{
        static const enum pg_oid oids[] = {PG_OID_UUID, PG_OID_UUID, PG_OID_TEXT, PG_OID_TEXT,
                                           PG_OID_TEXT, PG_OID_TEXT, PG_OID_UUID, PG_OID_JSONB};
        struct pg_params params;

        begin_params(s, oids, 8);
        for (size_t i = s->start; i < s->end; i++) {
                const struct hierarchy_row *row = &s->batch->rows[i];
                const struct ad_object_record *rec = &row->rec.object;

                if (row->kind != RECORD_AD_OBJECT || row->verdict != HIERARCHY_OK ||
                    row->write == DB_WRITE_NONE)
                        continue;
                ask_for(s, i);
                pg_array_add_uuid(&s->params[0], &row->id);
                pg_array_add_uuid(&s->params[1], &row->account_id);
                pg_array_add_text(&s->params[2], rec->external_id);
                pg_array_add_str(&s->params[3], ad_object_type_name(rec->type));
                add_nullable(&s->params[4], rec->has_name, rec->name);
                pg_array_add_str(&s->params[5], ad_object_status_name(rec->status));
                pg_array_add_uuid(&s->params[6], rec->has_parent ? &row->parent_id : NULL);
                pg_array_add_jsonb(&s->params[7], rec->platform_data);
        }
        if (s->asked_len == 0)
                return false;
        end_params(s, 8, 0, &params);
        pg_conn_execute(conn, AD_OBJECT_UPSERT, &params);
        return true;
}

/* --- answers --- */

static bool is_of_bytes(const struct pg_result *res, int i, int column, size_t bytes)
{
        return !pg_result_null(res, i, column) && pg_result_text(res, i, column).len == bytes;
}

/* True if row @i of the answer has the number of the row sent in that position. */
static bool is_numbered(const struct pg_result *res, int i)
{
        return is_of_bytes(res, i, WRITE_NUMBER, 4) && pg_result_i32(res, i, WRITE_NUMBER) == i + 1;
}

static enum hierarchy_reply read_write(const struct pg_result *res, int i, struct hierarchy_row *row)
{
        if (!is_numbered(res, i) || !is_of_bytes(res, i, WRITE_OUTCOME, 4))
                return HIERARCHY_REPLY_CHANGED;
        switch (pg_result_i32(res, i, WRITE_OUTCOME)) {
        case DB_WRITE_NONE:
                row->write = DB_WRITE_NONE;
                return HIERARCHY_REPLY_GOOD;
        case DB_WRITE_DONE:
                row->write = DB_WRITE_DONE;
                return HIERARCHY_REPLY_GOOD;
        case DB_WRITE_SKIPPED:
                return HIERARCHY_REPLY_SKIPPED;
        default:
                return HIERARCHY_REPLY_CHANGED;
        }
}

/* A row whose key the database changed looks skipped, but the answer then has an additional row without
 * number. */
static enum hierarchy_reply read_writes(struct hierarchy_statements *s, const struct pg_result *res)
{
        size_t rows = (size_t)pg_result_rows(res);
        enum hierarchy_reply reply = HIERARCHY_REPLY_GOOD;

        if (rows != s->asked_len)
                return HIERARCHY_REPLY_CHANGED;
        for (size_t i = 0; i < rows && reply != HIERARCHY_REPLY_CHANGED; i++) {
                enum hierarchy_reply one = read_write(res, (int)i, &s->batch->rows[s->asked[i]]);

                reply = one > reply ? one : reply;
        }
        return reply;
}

enum hierarchy_reply hierarchy_read_accounts(struct hierarchy_statements *s, const struct pg_result *res,
                                             bool *ret_new_accounts)
{
        enum hierarchy_reply reply = read_writes(s, res);

        for (int i = 0; reply == HIERARCHY_REPLY_GOOD && i < pg_result_rows(res); i++) {
                if (!is_of_bytes(res, i, WRITE_KNOWN, 1) || !is_of_bytes(res, i, WRITE_NEW, 1))
                        return HIERARCHY_REPLY_CHANGED;
                s->batch->rows[s->asked[i]].verdict =
                        pg_result_bool(res, i, WRITE_KNOWN) ? HIERARCHY_OK : HIERARCHY_UNKNOWN_CONNECTION;
                *ret_new_accounts |= pg_result_bool(res, i, WRITE_NEW);
        }
        return reply;
}

enum hierarchy_reply hierarchy_read_objects(struct hierarchy_statements *s, const struct pg_result *res)
{
        return read_writes(s, res);
}

/* All zeros for NULL. */
static bool read_uuid(const struct pg_result *res, int i, int column, struct uuid *ret)
{
        *ret = (struct uuid){0};
        if (pg_result_null(res, i, column))
                return true;
        if (!is_of_bytes(res, i, column, sizeof(ret->bytes)))
                return false;
        *ret = pg_result_uuid(res, i, column);
        return true;
}

static bool read_count(const struct pg_result *res, int i, int column, int64_t *ret)
{
        if (!is_of_bytes(res, i, column, sizeof(*ret)))
                return false;
        *ret = pg_result_i64(res, i, column);
        return true;
}

/* Reads an object's id and its type, in the next column; NULL: it does not exist. */
static bool read_known(const struct pg_result *res, int i, int column, struct hierarchy_known *ret)
{
        *ret = (struct hierarchy_known){.exists = !pg_result_null(res, i, column)};
        return !ret->exists || (read_uuid(res, i, column, &ret->id) &&
                                ad_object_type_parse(pg_result_text(res, i, column + 1), &ret->type));
}

static bool read_differs(const struct pg_result *res, int i, struct hierarchy_answer *ret)
{
        if (!ret->object.exists)
                return true;
        if (!is_of_bytes(res, i, RESOLVE_DIFFERS, 1))
                return false;
        ret->differs = pg_result_bool(res, i, RESOLVE_DIFFERS);
        return true;
}

bool hierarchy_read_answer(const struct pg_result *res, int i, struct hierarchy_answer *ret)
{
        *ret = (struct hierarchy_answer){0};
        return read_count(res, i, RESOLVE_ACCOUNTS, &ret->accounts) &&
               read_uuid(res, i, RESOLVE_ACCOUNT, &ret->account_id) &&
               read_known(res, i, RESOLVE_OBJECT, &ret->object) && read_differs(res, i, ret) &&
               read_count(res, i, RESOLVE_CHILDREN, &ret->children) &&
               read_uuid(res, i, RESOLVE_OLD_PARENT, &ret->old_parent_id) &&
               read_known(res, i, RESOLVE_PARENT, &ret->parent);
}

/* Finds each asked row's answer. Returns false unless there is exactly one for each. */
static bool order_answers(struct hierarchy_statements *s, const struct pg_result *res)
{
        if ((size_t)pg_result_rows(res) != s->asked_len)
                return false;
        while (s->answers_cap < s->asked_len)
                s->answers = array_grow(s->answers, &s->answers_cap, sizeof(*s->answers));
        for (size_t i = 0; i < s->asked_len; i++)
                s->answers[i] = -1;
        for (int i = 0; i < pg_result_rows(res); i++) {
                int32_t number =
                        is_of_bytes(res, i, RESOLVE_NUMBER, 4) ? pg_result_i32(res, i, RESOLVE_NUMBER) : 0;

                if (number < 1 || (size_t)number > s->asked_len || s->answers[number - 1] >= 0)
                        return false;
                s->answers[number - 1] = i;
        }
        return true;
}

/* Judges rows in order, so that a parent is judged before its children. */
enum hierarchy_reply hierarchy_read_resolve(struct hierarchy_statements *s, const struct pg_result *res)
{
        int64_t now_ms = clock_now_us() / 1000;

        if (!order_answers(s, res))
                return HIERARCHY_REPLY_CHANGED;
        for (size_t i = 0; i < s->asked_len; i++) {
                struct hierarchy_answer answer;

                if (!hierarchy_read_answer(res, s->answers[i], &answer))
                        return HIERARCHY_REPLY_CHANGED;
                hierarchy_judge(s->batch, s->start, s->asked[i], &answer, now_ms);
        }
        return HIERARCHY_REPLY_GOOD;
}
