#include "commands/against.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "commands/command.h"
#include "hierarchy/hierarchy_statements.h"
#include "hierarchy/hierarchy_verdict.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "model/spending_store.h"
#include "pg/pg_conn.h"
#include "wire/refusal.h"

/* --- outcomes --- */

void judged_reject(struct judged *j, const struct reject *reject)
{
        j->outcome = LINE_REJECTED;
        j->reject = must_malloc(sizeof(*j->reject));
        *j->reject = *reject;
}

/* --- statements --- */

static void begin_params(struct against *a, int len)
{
        for (int i = 0; i < len; i++)
                array_text_begin(&a->params[i]);
}

/* Runs @sql with the first @len arrays. On failure returns NULL and sets a->failed. */
static struct pg_result *ask(struct against *a, const char *sql, int len)
{
        struct db_params params = {0};
        struct pg_result *res = NULL;

        for (int i = 0; i < len; i++)
                db_param_text(&params, array_text_end(&a->params[i]));
        a->failed = db_query(&a->db, sql, &params, &res) != 0;
        return res;
}

static void run_about(struct against *a, const char *sql, struct slice text)
{
        struct db_params params = {0};
        struct pg_result *res = NULL;

        db_param_text(&params, text);
        a->failed = a->failed || db_query(&a->db, sql, &params, &res) != 0;
        db_result_free(res);
}

/* --- tables of this session --- */

static char *real_name(struct against *a, const char *table)
{
        struct db_params params = {0};
        struct pg_result *res = NULL;
        char *name = NULL;

        db_param_text(&params, slice_str(table));
        if (db_query_row(&a->db,
                         "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c "
                         "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass",
                         &params, &res) == 0)
                name = db_text_dup(res, 0, 0);
        else
                a->failed = true;
        db_result_free(res);
        return name;
}

/* Hierarchy lines are written to empty temporary tables that hide the real ones in this session; an
 * account's rows are copied there when a line first names it. */
static void replace_tables(struct against *a)
{
        if (a->real_accounts)
                return;
        a->real_accounts = real_name(a, "ad_accounts");
        a->real_objects = real_name(a, "ad_objects");
        if (a->failed)
                return;
        a->failed = db_run(&a->db, "CREATE TEMP TABLE ad_accounts (LIKE ad_accounts INCLUDING ALL); "
                                   "CREATE TEMP TABLE ad_objects (LIKE ad_objects INCLUDING ALL)") != 0;
}

static int compare_texts(const void *x, const void *y)
{
        return strcmp(x, y);
}

/* Assumes that external ids contain no NUL. */
static void copy_account(struct against *a, struct json_string external_id)
{
        char id[EXTERNAL_ID_MAX + 1];
        char sql[1024];
        char *copy;

        if (!a->real_accounts || a->failed)
                return;
        external_id_decode(external_id, id);
        if (tfind(id, &a->copied, compare_texts))
                return;
        copy = strdup(id);
        if (!copy || !tsearch(copy, &a->copied, compare_texts))
                abort();
        snprintf(
                sql, sizeof(sql),
                "INSERT INTO pg_temp.ad_accounts SELECT * FROM %s WHERE external_id = $1 ON CONFLICT DO NOTHING",
                a->real_accounts);
        run_about(a, sql, slice_str(id));
        snprintf(sql, sizeof(sql),
                 "INSERT INTO pg_temp.ad_objects SELECT o.* FROM pg_temp.ad_accounts a "
                 "JOIN %s o ON o.ad_account_id = a.id WHERE a.external_id = $1 ON CONFLICT DO NOTHING",
                 a->real_objects);
        run_about(a, sql, slice_str(id));
}

/* --- hierarchy lines --- */

static void judge_write(struct against *a, struct judged *j, const struct pg_result *res)
{
        enum { COLUMN_OUTCOME = 1 };
        int32_t write = pg_result_rows(res) == 1 ? pg_result_i32(res, 0, COLUMN_OUTCOME) : DB_WRITE_CHANGED;

        if (write == DB_WRITE_NONE)
                j->outcome = LINE_DUPLICATE;
        else if (write != DB_WRITE_DONE)
                a->failed = db_fail(&a->db, -1, "%s", DB_CHANGES) != 0;
}

static void judge_account(struct against *a, struct judged *j, struct hierarchy_row *row)
{
        enum { COLUMN_KNOWN = 2, PARAMS = 6 };
        const struct ad_account_record *rec = &row->rec.account;
        struct pg_result *res;
        struct reject reject;

        copy_account(a, rec->external_id);
        begin_params(a, PARAMS);
        array_text_add_uuid(&a->params[0], &rec->connection_id);
        array_text_add_json(&a->params[1], rec->external_id);
        if (rec->has_name)
                array_text_add_json(&a->params[2], rec->name);
        else
                array_text_add_uuid(&a->params[2], NULL);
        array_text_add(&a->params[3], (struct slice){rec->currency, sizeof(rec->currency)});
        array_text_add_json(&a->params[4], rec->timezone);
        array_text_add_uuid(&a->params[5], NULL); /* of any platform */
        res = a->failed ? NULL : ask(a, ad_account_upsert_sql, PARAMS);
        if (res && !pg_result_bool(res, 0, COLUMN_KNOWN)) {
                row->verdict = HIERARCHY_UNKNOWN_CONNECTION;
                hierarchy_describe(row, &reject);
                judged_reject(j, &reject);
        } else if (res) {
                judge_write(a, j, res);
        }
        db_result_free(res);
}

static void add_nullable(struct array_text *param, bool has, struct json_string text)
{
        if (has)
                array_text_add_json(param, text);
        else
                array_text_add_uuid(param, NULL);
}

/* Reads what the daemon reads about an object before writing it. */
static bool resolve_object(struct against *a, struct hierarchy_row *row)
{
        enum { PARAMS = 12 };
        const struct ad_object_record *rec = &row->rec.object;
        struct hierarchy_batch batch = {.rows = row, .len = 1};
        struct hierarchy_answer answer;
        struct pg_result *res;

        begin_params(a, PARAMS);
        array_text_add(&a->params[0], slice_str(platform_name(rec->platform)));
        array_text_add_uuid(&a->params[1], rec->has_connection ? &rec->connection_id : NULL);
        array_text_add_json(&a->params[2], rec->account_external_id);
        array_text_add_i64(&a->params[3], 1);
        array_text_add_i64(&a->params[4], 1);
        array_text_add_json(&a->params[5], rec->external_id);
        array_text_add(&a->params[6], slice_str(ad_object_type_name(rec->type)));
        add_nullable(&a->params[7], rec->has_parent, rec->parent_external_id);
        add_nullable(&a->params[8], rec->has_name, rec->name);
        array_text_add(&a->params[9], slice_str(ad_object_status_name(rec->status)));
        array_text_add(&a->params[10], rec->platform_data);
        array_text_add_i64(&a->params[11], 1);
        res = ask(a, ad_object_resolve_sql, PARAMS);
        row->parent_row = row->same_parent_row = -1;
        if (res && hierarchy_read_answer(res, 0, &answer))
                hierarchy_judge(&batch, 0, 0, &answer, 0);
        else
                a->failed = true;
        db_result_free(res);
        return !a->failed;
}

static void write_object(struct against *a, struct judged *j, const struct hierarchy_row *row)
{
        enum { PARAMS = 8 };
        const struct ad_object_record *rec = &row->rec.object;
        struct pg_result *res;

        begin_params(a, PARAMS);
        array_text_add_uuid(&a->params[0], &row->id);
        array_text_add_uuid(&a->params[1], &row->account_id);
        array_text_add_json(&a->params[2], rec->external_id);
        array_text_add(&a->params[3], slice_str(ad_object_type_name(rec->type)));
        add_nullable(&a->params[4], rec->has_name, rec->name);
        array_text_add(&a->params[5], slice_str(ad_object_status_name(rec->status)));
        array_text_add_uuid(&a->params[6], rec->has_parent ? &row->parent_id : NULL);
        array_text_add(&a->params[7], rec->platform_data);
        res = ask(a, ad_object_upsert_sql, PARAMS);
        if (res)
                judge_write(a, j, res);
        db_result_free(res);
}

static void judge_object(struct against *a, struct judged *j, struct hierarchy_row *row)
{
        struct reject reject;

        copy_account(a, row->rec.object.account_external_id);
        if (a->failed || !resolve_object(a, row))
                return;
        if (row->verdict != HIERARCHY_OK) {
                hierarchy_describe(row, &reject);
                judged_reject(j, &reject);
        } else if (row->write == DB_WRITE_NONE) {
                j->outcome = LINE_DUPLICATE;
        } else {
                write_object(a, j, row);
        }
}

/* --- spending lines: their objects --- */

static void reject_unresolved(struct judged *j, const struct spending_record *rec, int64_t accounts)
{
        char account[EXTERNAL_ID_MAX + 1];
        char object[EXTERNAL_ID_MAX + 1];
        struct reject reject;

        external_id_decode(rec->account_external_id, account);
        external_id_decode(rec->external_id, object);
        if (accounts != 1)
                refuse_account(&reject, accounts, rec->platform, account,
                               rec->has_connection ? &rec->connection_id : NULL);
        else
                refuse_object(&reject, "externalId", object, account);
        judged_reject(j, &reject);
}

struct resolving {
        struct against *against;
        struct judged *judged;
};

static void on_resolved(void *ctx, size_t record, int64_t accounts, const struct uuid *object)
{
        struct resolving *r = ctx;
        struct against_row *row = &r->against->rows[record];

        if (object)
                row->rec.ad_object_id = *object;
        else
                reject_unresolved(&r->judged[row->judged], &row->rec, accounts);
}

static void resolve_rows(struct against *a, struct judged *judged)
{
        struct resolving r = {a, judged};

        for (size_t i = 0; i < a->rows_len; i++) {
                copy_account(a, a->rows[i].rec.account_external_id);
                lookup_blocking_add(&a->lookup, &a->rows[i].rec);
        }
        a->failed = a->failed || lookup_blocking_run(&a->lookup, &a->db, on_resolved, &r) != 0;
}

/* --- spending lines: what is already stored --- */

/* A record that would be stored. */
struct record {
        struct uuid id;
        int64_t collected_at; /* 0 in the tree by id alone */
        struct uuid print;    /* hash of all stored fields but the id */
};

static int compare_records(const void *x, const void *y)
{
        const struct record *a = x;
        const struct record *b = y;
        int order = memcmp(&a->id, &b->id, sizeof(a->id));

        return order ? order : (a->collected_at > b->collected_at) - (a->collected_at < b->collected_at);
}

/* @any_time: ignore collectedAt. */
static struct record record_of(const struct spending_record *rec, bool any_time)
{
        struct spending_record nameless = *rec;

        nameless.has_id = false;
        nameless.receipt = 0;
        if (any_time)
                nameless.collected_at = 0;
        spending_record_derive_id(&nameless);
        return (struct record){rec->id, any_time ? 0 : rec->collected_at, nameless.id};
}

static void add_record(void **tree, const struct record *record)
{
        struct record *copy = must_malloc(sizeof(*copy));

        *copy = *record;
        if (!tsearch(copy, tree, compare_records))
                abort();
}

static void judge_found(struct judged *j, bool same, bool any_time)
{
        struct reject reject;

        if (same) {
                j->outcome = LINE_DUPLICATE;
                return;
        }
        refuse_id_conflict(&reject, any_time);
        judged_reject(j, &reject);
}

/* Nothing is stored under the record's key; an earlier line may have the same key. */
static void judge_absent(struct against *a, struct judged *j, const struct spending_record *rec)
{
        struct record record = record_of(rec, rec->any_time);
        struct record **found = tfind(&record, rec->any_time ? &a->ids : &a->records, compare_records);

        if (found) {
                judge_found(j, memcmp(&(*found)->print, &record.print, sizeof(record.print)) == 0,
                            rec->any_time);
                return;
        }
        record = record_of(rec, false);
        add_record(&a->records, &record);
        record = record_of(rec, true);
        if (rec->has_id && !tfind(&record, &a->ids, compare_records))
                add_record(&a->ids, &record);
}

static void add_count(struct array_text *param, const struct spending_record *rec, enum record_null null,
                      int64_t value)
{
        if (rec->nulls & null)
                array_text_add_uuid(param, NULL);
        else
                array_text_add_i64(param, value);
}

static void add_record_params(struct array_text *p, const struct spending_record *rec)
{
        array_text_add_uuid(&p[0], &rec->id);
        array_text_add_uuid(&p[1], &rec->ad_object_id);
        array_text_add_time(&p[2], rec->collected_at);
        array_text_add_time(&p[3], rec->period_start);
        array_text_add_time(&p[4], rec->period_end);
        array_text_add_i64(&p[5], rec->amount_cents);
        array_text_add(&p[6], (struct slice){rec->currency, sizeof(rec->currency)});
        add_count(&p[7], rec, RECORD_NULL_IMPRESSIONS, rec->impressions);
        add_count(&p[8], rec, RECORD_NULL_CLICKS, rec->clicks);
        add_count(&p[9], rec, RECORD_NULL_CONVERSIONS, rec->conversions);
        array_text_add(&p[10], rec->metrics);
}

/* Selects the rows of one query: if @any_time, those whose key is the id alone; otherwise those whose key is
 * id and collectedAt. */
static void choose_rows(struct against *a, const struct judged *judged, bool any_time)
{
        a->asked_len = 0;
        for (size_t i = 0; i < a->rows_len; i++) {
                if (judged[a->rows[i].judged].outcome != LINE_STORED || a->rows[i].rec.any_time != any_time)
                        continue;
                if (a->asked_len == a->asked_cap)
                        a->asked = array_grow(a->asked, &a->asked_cap, sizeof(*a->asked));
                a->asked[a->asked_len++] = i;
        }
}

static struct pg_result *ask_what_is_stored(struct against *a, bool any_time)
{
        enum { ARRAYS = 11 };
        struct db_params params = {0};
        struct pg_result *res = NULL;
        struct buf compare = {0};
        int64_t first = INT64_MAX;
        int64_t last = INT64_MIN;

        begin_params(a, ARRAYS);
        for (size_t i = 0; i < a->asked_len; i++) {
                const struct spending_record *rec = &a->rows[a->asked[i]].rec;

                add_record_params(a->params, rec);
                first = rec->collected_at < first ? rec->collected_at : first;
                last = rec->collected_at > last ? rec->collected_at : last;
        }
        for (int i = 0; i < ARRAYS; i++)
                db_param_text(&params, array_text_end(&a->params[i]));
        spending_compare(&compare, first, last);
        a->failed = db_query(&a->db, any_time ? spending_compare_ids_sql : compare.data, &params, &res) != 0;
        buf_deinit(&compare);
        return res;
}

static void compare_rows(struct against *a, struct judged *judged, bool any_time)
{
        enum { COLUMN_NUMBER, COLUMN_SAME };
        struct pg_result *res;

        choose_rows(a, judged, any_time);
        res = a->failed || a->asked_len == 0 ? NULL : ask_what_is_stored(a, any_time);
        for (int i = 0; res && i < pg_result_rows(res); i++) {
                size_t row = a->asked[pg_result_i32(res, i, COLUMN_NUMBER) - 1];

                if (!pg_result_null(res, i, COLUMN_SAME))
                        judge_found(&judged[a->rows[row].judged], pg_result_bool(res, i, COLUMN_SAME),
                                    any_time);
        }
        db_result_free(res);
}

/* --- all together --- */

int against_open(struct against *a, const struct config *config)
{
        *a = (struct against){0};
        return command_open_database(&a->db, config);
}

void against_close(struct against *a)
{
        db_close(&a->db);
        free(a->real_accounts);
        free(a->real_objects);
        tdestroy(a->copied, free);
        tdestroy(a->records, free);
        tdestroy(a->ids, free);
        free(a->rows);
        free(a->asked);
        lookup_blocking_deinit(&a->lookup);
        for (int i = 0; i < AGAINST_PARAMS; i++)
                array_text_deinit(&a->params[i]);
}

const struct db *against_failed(const struct against *a)
{
        return a->failed ? &a->db : NULL;
}

void against_finish(struct against *a, struct judged *judged)
{
        if (a->failed || a->rows_len == 0)
                return;
        resolve_rows(a, judged);
        for (size_t i = 0; i < a->rows_len; i++)
                spending_record_derive_id(&a->rows[i].rec);
        compare_rows(a, judged, false);
        compare_rows(a, judged, true);
        for (size_t i = 0; i < a->rows_len && !a->failed; i++) {
                if (judged[a->rows[i].judged].outcome == LINE_STORED)
                        judge_absent(a, &judged[a->rows[i].judged], &a->rows[i].rec);
        }
        a->rows_len = 0;
}

void against_judge(struct against *a, struct judged *judged, size_t place, struct decoded *decoded)
{
        if (decoded->kind != RECORD_SPENDING) {
                against_finish(a, judged);
                replace_tables(a);
        }
        if (a->failed)
                return;
        switch (decoded->kind) {
        case RECORD_AD_ACCOUNT:
                judge_account(a, &judged[place], &decoded->as.hierarchy);
                break;
        case RECORD_AD_OBJECT:
                judge_object(a, &judged[place], &decoded->as.hierarchy);
                break;
        default:
                if (a->rows_len == a->rows_cap)
                        a->rows = array_grow(a->rows, &a->rows_cap, sizeof(*a->rows));
                a->rows[a->rows_len++] = (struct against_row){decoded->as.spending.rec, place};
        }
}
