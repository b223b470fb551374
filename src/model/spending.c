#include "model/spending.h"

/* $1 account, $2 object, $3 and $4 from as a moment or a day, $5 and $6 to.
 *
 * An object is told by platform and external ids: several connections may have brought the same money.
 *
 * A period that contains a shorter one of its object: running through the periods from the last start to the
 * first, the earliest end so far is not after its own. GROUPS leaves out those that are the same. It stands
 * for itself where it was collected after the shorter ones and these leave gaps. An end within the last
 * second of a minute is the minute's end: some platforms' periods end in 59, or 59.999999. */
#define OBJECT_KEY "platform, account, object"

/* The account's time zone, where it is one. pg_timezone_names would tell, but reads every file of the zones,
 * and fails where one link among them leads nowhere. */
#define ZONE_SQL                                                                                             \
        "CASE WHEN CASE WHEN a.timezone ~ '^[A-Za-z_]+/' "                                                   \
        "THEN pg_input_is_valid('2026-01-01 ' || a.timezone, 'timestamptz') "                                \
        "ELSE upper(a.timezone) IN (SELECT abbrev FROM pg_timezone_abbrevs) END "                            \
        "THEN a.timezone ELSE 'UTC' END"

#define FRESH_SQL                                                                                                       \
        "WITH account AS MATERIALIZED ("                                                                                \
        "SELECT a.id, a.external_id, a.platform, a.zone, a.n, "                                                         \
        "coalesce($3, $4::text::timestamp AT TIME ZONE a.zone) AS from_at, "                                            \
        "coalesce($5, $6::text::timestamp AT TIME ZONE a.zone) AS to_at FROM ("                                         \
        "SELECT a.id, a.external_id, c.platform, " ZONE_SQL " AS zone, "                                                \
        "row_number() OVER (PARTITION BY c.platform, a.external_id ORDER BY a.created_at, a.id) AS n "                  \
        "FROM ad_accounts a JOIN platform_connections c ON c.id = a.platform_connection_id "                            \
        "WHERE $1::uuid IS NULL OR a.id = $1) AS a"                                                                     \
        "), found AS ("                                                                                                 \
        "SELECT s.period_start, e.period_end, s.period_end AS stored_end, s.collected_at, s.currency, s.amount_cents, " \
        "s.impressions, s.clicks, s.conversions, "                                                                      \
        "account.external_id AS account, account.platform, account.zone, "                                              \
        "o.external_id AS object, o.type, o.name, p.external_id AS parent, g.external_id AS grandparent, "              \
        "coalesce(g.external_id, p.external_id, o.external_id) AS top, "                                                \
        "coalesce(g.type, p.type, o.type) AS top_type, "                                                                \
        "CASE WHEN g.id IS NOT NULL THEN g.name WHEN p.id IS NOT NULL THEN p.name ELSE o.name END "                     \
        "AS top_name, "                                                                                                 \
        "rank() OVER (PARTITION BY account.platform, account.external_id, o.external_id, "                              \
        "s.period_start, e.period_end ORDER BY s.collected_at DESC, account.n) AS newness "                             \
        "FROM account JOIN ad_objects o ON o.ad_account_id = account.id "                                               \
        "LEFT JOIN ad_objects p ON p.id = o.parent_id LEFT JOIN ad_objects g ON g.id = p.parent_id "                    \
        "JOIN spending s ON s.ad_object_id = o.id "                                                                     \
        "CROSS JOIN LATERAL (SELECT CASE WHEN extract(second FROM s.period_end) >= 59 "                                 \
        "THEN date_trunc('minute', s.period_end + interval '1 second') ELSE s.period_end END AS period_end) AS e "      \
        "WHERE s.period_start >= account.from_at AND s.period_start < account.to_at "                                   \
        "AND ($2::uuid IS NULL OR $2 IN (o.id, p.id, g.id))"                                                            \
        "), fresh AS MATERIALIZED ("                                                                                    \
        "SELECT *, coalesce(min(period_end) OVER (PARTITION BY " OBJECT_KEY                                             \
        " ORDER BY period_start DESC, period_end GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) "                  \
        "<= period_end, false) AS has_shorter FROM found WHERE newness = 1"                                             \
        ") "

#define SUMS_SQL                                                                                             \
        "sum(amount_cents)::text, sum(impressions)::text, sum(clicks)::text, sum(conversions)::text, "       \
        "count(*)::text"

/* Whether period a contains period b, of the same object, and is not the same. */
#define CONTAINS(a, b)                                                                                       \
        "(" a ".platform, " a ".account, " a ".object) = (" b ".platform, " b ".account, " b ".object) "     \
        "AND " a ".period_start <= " b ".period_start AND " b ".period_end <= " a ".period_end "             \
        "AND (" a ".period_start, " a ".period_end) <> (" b ".period_start, " b ".period_end) "

/* $7 bucket, $8 group: account, platform, campaign or object. */
static const char totals_sql[] = FRESH_SQL
        ", whole AS ("
        "SELECT l.platform, l.account, l.object, l.period_start, l.period_end "
        "FROM fresh l JOIN fresh s ON " CONTAINS(
                "l",
                "s") "WHERE l.has_shorter "
                     "GROUP BY l.platform, l.account, l.object, l.period_start, l.period_end, l.collected_at "
                     "HAVING max(s.collected_at) < l.collected_at AND NOT "
                     "range_agg(tstzrange(s.period_start, s.period_end)) "
                     "@> tstzrange(l.period_start, l.period_end)"
                     "), covered AS ("
                     "SELECT DISTINCT f.platform, f.account, a.object, f.period_start, f.period_end "
                     "FROM fresh f, LATERAL (VALUES (f.parent), (f.grandparent)) AS a (object) WHERE a.object IS NOT NULL"
                     "), counted AS ("
                     "SELECT time_bucket($7::text::interval, f.period_start AT TIME ZONE f.zone) AS bucket, f.platform, "
                     "CASE WHEN $8 <> 'platform' THEN f.account END AS account, "
                     "CASE $8 WHEN 'campaign' THEN f.top WHEN 'object' THEN f.object END AS key, "
                     "CASE $8 WHEN 'campaign' THEN f.top_type WHEN 'object' THEN f.type END AS key_type, "
                     "CASE $8 WHEN 'campaign' THEN f.top_name WHEN 'object' THEN f.name END AS key_name, "
                     "f.currency, f.amount_cents, f.impressions, f.clicks, f.conversions, f.type "
                     "FROM fresh f WHERE (NOT f.has_shorter OR EXISTS (SELECT FROM whole w "
                     "WHERE (w.platform, w.account, w.object, w.period_start, w.period_end) = "
                     "(f.platform, f.account, f.object, f.period_start, f.period_end))) "
                     "AND NOT EXISTS (SELECT FROM whole w WHERE " CONTAINS(
                             "w",
                             "f") ") "
                                  "AND NOT EXISTS (SELECT FROM covered c "
                                  "WHERE (c.platform, c.account, c.object) = (f.platform, f.account, f.object) "
                                  "AND c.period_start < f.period_end AND f.period_start < c.period_end)"
                                  ") SELECT to_char(bucket, CASE WHEN $7 LIKE '%hours' THEN 'YYYY-MM-DD HH24:MI' ELSE 'YYYY-MM-DD' END), "
                                  "platform::text, account, key, "
                                  "CASE WHEN grouping(bucket) = 0 THEN max(key_type)::text END, "
                                  "CASE WHEN grouping(bucket) = 0 THEN max(key_name) END, "
                                  "currency, " SUMS_SQL
                                  ", string_agg(DISTINCT type::text, ', ') FROM counted "
                                  "GROUP BY GROUPING SETS ((bucket, platform, account, key, currency), (currency)) "
                                  "ORDER BY grouping(bucket), bucket, platform, account, sum(amount_cents) DESC, key, currency";

#define RFC3339 " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "

static const char latest_sql[] = FRESH_SQL
        "SELECT to_char(period_start" RFC3339 "to_char(stored_end" RFC3339 "to_char(collected_at" RFC3339
        "platform::text, account, object, type::text, name, currency, " SUMS_SQL " FROM fresh "
        "GROUP BY period_start, stored_end, collected_at, platform, account, object, type, name, currency "
        "ORDER BY platform, account, fresh.type, object, period_start, stored_end, currency";

static const struct slice groups[] = {
#define X(name, text) {text, sizeof(text) - 1},
        SPENDING_GROUP_MAP(X)
#undef X
};

enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

bool spending_group_parse(struct slice text, enum spending_group *ret)
{
        size_t i = slice_find(groups, GROUPS, text);

        if (i < GROUPS)
                *ret = (enum spending_group)i;
        return i < GROUPS;
}

static void add_moment(struct db_params *params, const struct spending_moment *moment)
{
        struct slice none = {NULL, 0};

        db_param_time(params, moment->is_day ? NULL : &moment->unix_us);
        db_param_text(params, moment->is_day ? slice_str(moment->day) : none);
}

static void add_query(struct db_params *params, const struct spending_query *query)
{
        db_param_uuid(params, query->ad_account_id);
        db_param_uuid(params, query->ad_object_id);
        add_moment(params, &query->from);
        add_moment(params, &query->to);
}

int spending_totals(struct db *db, const struct spending_query *query, struct pg_result **ret)
{
        struct db_params params = {0};

        add_query(&params, query);
        db_param_text(&params, slice_str(query->bucket));
        db_param_text(&params, groups[query->by]);
        return db_query(db, totals_sql, &params, ret);
}

int spending_latest(struct db *db, const struct spending_query *query, struct pg_result **ret)
{
        struct db_params params = {0};

        add_query(&params, query);
        return db_query(db, latest_sql, &params, ret);
}
