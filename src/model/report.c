#include "model/report.h"

#define ARGUMENTS           "($1::text::date, $2::text::date, $3, $4, $5, $6)"
#define ARGUMENTS_OF_PIECES "($1::text::date, $2::text::date, $3, $4, $5, $6, 'levels')"

/* $7 bucket, $8 group: account, platform, campaign or object. The rows of boris_ingestd_spending, without what is not
 * needed of them, are added up by object first, in a hash table; only the few sums are sorted. */
static const char totals_sql[] =
        "WITH counted AS MATERIALIZED ("
        "SELECT time_bucket((SELECT $7::text::interval), period_start AT TIME ZONE zone) AS bucket, object_id, part, "
        "breakdown, currency, sum(amount_cents) AS amount, sum(impressions) AS impressions, sum(clicks) AS clicks, "
        "sum(conversions) AS conversions, sum(records) AS records, sum(fractional) AS fractional "
        "FROM boris_ingestd_pieces" ARGUMENTS_OF_PIECES " JOIN boris_ingestd_tree($3, $4) USING (object_id) "
        "WHERE outside IS NULL GROUP BY 1, 2, 3, 4, 5"
        "), summed AS ("
        "SELECT bucket, platform, account, key, part, currency, grouping(bucket) AS is_total, "
        "sum(amount) AS amount_sum, sum(impressions) AS impressions, sum(clicks) AS clicks, "
        "sum(conversions) AS conversions, sum(records) AS records, "
        "string_agg(DISTINCT type::text, ', ') AS levels, string_agg(DISTINCT breakdown, '; ') AS breakdowns, "
        "nullif(sum(fractional), 0) AS fractional FROM ("
        "SELECT c.*, t.platform, CASE WHEN $8 <> 'platform' THEN t.account_external_id END AS account, t.type, "
        "CASE $8 WHEN 'campaign' THEN t.top WHEN 'object' THEN t.object_id END AS key "
        "FROM (SELECT bucket, object_id, CASE WHEN $8 = 'object' AND (part = 'not attributed to ads' "
        "OR $7 LIKE '%hours') THEN part END AS part, breakdown, currency, amount, impressions, clicks, conversions, "
        "records, fractional FROM counted) AS c JOIN boris_ingestd_tree($3, $4) AS t USING (object_id)"
        ") AS placed "
        "GROUP BY GROUPING SETS ((bucket, platform, account, key, part, currency), (currency))"
        ") SELECT to_char(bucket, CASE WHEN $7 LIKE '%hours' THEN 'YYYY-MM-DD HH24:MI' ELSE 'YYYY-MM-DD' END), "
        "platform::text, account, o.external_id, o.type::text, o.name, part, currency, amount_sum::text, impressions::text, "
        "clicks::text, conversions::text, records::text, levels, breakdowns, fractional::text "
        "FROM summed LEFT JOIN ad_objects o ON o.id = key "
        "ORDER BY is_total, bucket, platform, account, summed.amount_sum DESC, o.external_id, part NULLS FIRST, currency";

#define RFC3339 " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "

static const char latest_sql[] =
        "SELECT to_char(l.period_start" RFC3339 "to_char(l.period_end" RFC3339
        "to_char(l.collected_at" RFC3339
        "o.platform::text, o.account_external_id, o.external_id, o.type::text, o.name, l.currency, "
        "l.amount_cents::text, l.impressions::text, l.clicks::text, l.conversions::text, l.records::text, "
        "l.breakdown, nullif(l.fractional, 0)::text "
        "FROM boris_ingestd_latest" ARGUMENTS
        " AS l JOIN boris_ingestd_objects($3, $4) AS o ON o.id = l.object_id "
        "ORDER BY o.platform, o.account_external_id, o.type, o.external_id, l.period_start, l.period_end, l.currency";

static const char explain_sql[] = "SELECT to_char(e.period_start" RFC3339 "to_char(e.period_end" RFC3339
                                  "to_char(e.collected_at" RFC3339
                                  "e.currency, e.amount_cents::text, e.breakdown, e.counted::text, e.reason "
                                  "FROM boris_ingestd_explain" ARGUMENTS " AS e";

static const char unknown_zones_sql[] =
        "SELECT platform::text, external_id, timezone FROM boris_ingestd_accounts() "
        "WHERE zone IS NULL AND ($1 IS NULL OR id = $1) ORDER BY platform, external_id, id";

/* Compiling a plan of fifty chunks takes longer than it saves. Hash tables (32 MB each by default) beat
 * sorting for joins and sums. */
static const char settings_sql[] = "SET jit = off; SET hash_mem_multiplier = 8; SET enable_mergejoin = off";

static const struct slice groups[] = {
#define X(name, text) {text, sizeof(text) - 1},
        REPORT_GROUP_MAP(X)
#undef X
};

enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

bool report_group_parse(struct slice text, enum report_group *ret)
{
        size_t i = slice_find(groups, GROUPS, text);

        if (i < GROUPS)
                *ret = (enum report_group)i;
        return i < GROUPS;
}

static void add_query(struct db_params *params, const struct report_query *query)
{
        const struct slice none = {NULL, 0};
        const struct report_moment *from = &query->from;
        const struct report_moment *to = &query->to;

        db_param_text(params, from->is_day ? slice_str(from->day) : none);
        db_param_text(params, to->is_day ? slice_str(to->day) : none);
        db_param_uuid(params, query->ad_account_id);
        db_param_uuid(params, query->ad_object_id);
        db_param_time(params, from->is_day ? NULL : &from->unix_us);
        db_param_time(params, to->is_day ? NULL : &to->unix_us);
}

static int run(struct db *db, const char *sql, const struct db_params *params, struct pg_result **ret)
{
        int err = db_run(db, settings_sql);

        return err ? err : db_query(db, sql, params, ret);
}

int report_totals(struct db *db, const struct report_query *query, struct pg_result **ret)
{
        struct db_params params = {0};

        add_query(&params, query);
        db_param_text(&params, slice_str(query->bucket));
        db_param_text(&params, groups[query->by]);
        return run(db, totals_sql, &params, ret);
}

int report_latest(struct db *db, const struct report_query *query, struct pg_result **ret)
{
        struct db_params params = {0};

        add_query(&params, query);
        return run(db, latest_sql, &params, ret);
}

int report_explain(struct db *db, const struct report_query *query, struct pg_result **ret)
{
        struct db_params params = {0};

        add_query(&params, query);
        return run(db, explain_sql, &params, ret);
}

int report_unknown_zones(struct db *db, const struct uuid *ad_account_id, struct pg_result **ret)
{
        struct db_params params = {0};

        db_param_uuid(&params, ad_account_id);
        return db_query(db, unknown_zones_sql, &params, ret);
}

bool report_functions_exist(struct db *db)
{
        static const char sql[] = "SELECT to_regproc('public.boris_ingestd_accounts') IS NOT NULL";
        bool exist;

        return db_query_bool(db, sql, NULL, &exist) == 0 && exist;
}
