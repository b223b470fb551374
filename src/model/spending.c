#include "model/spending.h"

#include <stdio.h>

#include "model/fits.h"

#define COLUMNS                                                                                              \
        "id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "                 \
        "impressions, clicks, conversions, metrics"

#define COPY_SQL "COPY spending (" COLUMNS ") FROM STDIN (FORMAT binary)"

const char spending_copy_sql[] = FITS_HOLD_SPENDING_SQL COPY_SQL;

/* What else triggers would do on this table; NULL where nothing. ts_insert_blocker keeps rows out of the
 * hypertable's own, empty, table, into which TimescaleDB's COPY puts none. */
#define OTHERS_SQL                                                                                           \
        "coalesce((SELECT 'spending has another trigger, ' || tgname || ', which it would skip' "            \
        "FROM pg_trigger WHERE tgrelid = 'spending'::regclass AND NOT tgisinternal "                         \
        "AND tgenabled = 'O' AND tgname <> 'ts_insert_blocker' LIMIT 1), "                                   \
        "(SELECT 'spending has another foreign key, ' || conname || ', which it would skip' "                \
        "FROM pg_constraint c WHERE conrelid = 'spending'::regclass AND contype = 'f' "                      \
        "AND (confrelid <> 'ad_objects'::regclass OR conkey <> ARRAY[(SELECT attnum FROM pg_attribute "      \
        "WHERE attrelid = conrelid AND attname = 'ad_object_id')]) LIMIT 1))"

const char spending_checked_copy_obstacle_sql[] =
        "SELECT coalesce(CASE WHEN NOT has_parameter_privilege('session_replication_role', 'SET') THEN "
        "'this role lacks the right: GRANT SET ON PARAMETER session_replication_role TO ' || quote_ident(current_user) "
        "END, " OTHERS_SQL ", '')";

/* One round trip, and one transaction: several statements in one simple query are that. The lock is that of
 * the foreign key's own trigger: nobody can delete the objects until the rows are there for everybody. A
 * trigger that was made since the connection was, runs. The array is hidden behind a SELECT, or the planner
 * would compare each of its elements with its statistics, for as long as it takes to find the objects. */
void spending_checked_copy_begin(struct buf *out)
{
        static const char text[] = FITS_HOLD_SPENDING_SQL
                "DO $check$ BEGIN IF (SELECT count(*) FROM (SELECT FROM ad_objects WHERE id = ANY ((SELECT '{";

        buf_put(out, text, sizeof(text) - 1);
}

void spending_checked_copy_add(struct buf *out, const struct uuid *ad_object_id)
{
        char *to = buf_reserve(out, UUID_TEXT_LEN + 1);

        uuid_format(ad_object_id, to);
        to[UUID_TEXT_LEN] = ',';
        out->len += UUID_TEXT_LEN + 1;
}

void spending_checked_copy_end(struct buf *out, size_t objects)
{
        static const char text[] =
                "}'::uuid[])::uuid[]) FOR KEY SHARE) AS o) < %zu THEN RAISE foreign_key_violation; END IF; "
                "IF " OTHERS_SQL
                " IS NULL THEN PERFORM set_config('session_replication_role', 'replica', true); END IF; "
                "END $check$; " COPY_SQL;
        char *to;

        out->len--; /* the last comma */
        to = buf_reserve(out, sizeof(text) + 20);
        out->len += (size_t)snprintf(to, sizeof(text) + 20, text, objects) + 1;
}

/* The arrays are hidden behind a SELECT each, since their length times a guessed cost makes the server
 * compile the statement (JIT) for longer than it runs. What was inserted is found by grouping, not by a join,
 * which a wrong guess could make a nested loop. count(*) reads an index where LIMIT 1 might try its luck with
 * the whole table. */
const char spending_merge_sql[] =
        "WITH inserted AS ("
        "INSERT INTO spending (" COLUMNS ") "
        "SELECT " COLUMNS " FROM ("
        "SELECT u.*, min(u.n) OVER (PARTITION BY u.id) AS first_n FROM unnest("
        "(SELECT $1::uuid[]), (SELECT $2::uuid[]), "
        "(SELECT $3::timestamptz[]), (SELECT $4::timestamptz[]), (SELECT $5::timestamptz[]), "
        "(SELECT $6::int8[]), (SELECT $7::text[]), "
        "(SELECT $8::int8[]), (SELECT $9::int8[]), (SELECT $10::int8[]), "
        "(SELECT $11::jsonb[]), (SELECT $12::bool[])) "
        "WITH ORDINALITY AS u (" COLUMNS ", any_time, n)"
        ") AS i "
        "WHERE CASE WHEN i.any_time "
        "THEN i.n = i.first_n AND (SELECT count(*) FROM spending s WHERE s.id = i.id) = 0 ELSE true END "
        "ORDER BY i.id, i.collected_at, i.n "
        "ON CONFLICT (id, collected_at) DO NOTHING "
        "RETURNING id, collected_at"
        ") "
        "SELECT min(k.n)::int4 FROM ("
        "SELECT * FROM unnest((SELECT $1), (SELECT $3)) WITH ORDINALITY AS given (id, collected_at, n) "
        "UNION ALL SELECT id, collected_at, NULL FROM inserted"
        ") AS k GROUP BY k.id, k.collected_at HAVING count(*) > count(k.n)";

/* A few accounts are tried, since all of one may be to blame. Deferred triggers speak up before the end, too.
 * BEGIN comes late: the statement before it belongs to the transaction as well, and where that fails nothing
 * is left open (PostgreSQL documentation, 53.2.2.1). */
const char spending_probe_sql[] =
        "DO $probe$ DECLARE s record; error text; message text; BEGIN "
        "FOR s IN SELECT likely.* FROM (SELECT id, currency FROM ad_accounts ORDER BY random() LIMIT 8) AS a, "
        "LATERAL (SELECT few.id FROM (SELECT id FROM ad_objects WHERE ad_account_id = a.id LIMIT 1000) AS few "
        "ORDER BY random() LIMIT 1) AS o, "
        "LATERAL (SELECT false AS stored, o.id, now() - random() * interval '7 days' AS period_start, "
        "now() AS period_end, (random() * 1000000)::int8 AS amount_cents, a.currency, "
        "1000::int8 AS impressions, 10::int8 AS clicks, 1::int8 AS conversions, '{}'::jsonb AS metrics "
        "UNION ALL (SELECT true, ad_object_id, period_start, period_end, amount_cents, currency, "
        "impressions, clicks, conversions, metrics FROM spending WHERE ad_object_id = o.id LIMIT 1)"
        ") AS likely ORDER BY likely.stored "
        "LOOP BEGIN "
        "INSERT INTO spending (id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "
        "impressions, clicks, conversions, metrics) VALUES (gen_random_uuid(), s.id, now(), s.period_start, s.period_end, "
        "s.amount_cents, s.currency, s.impressions, s.clicks, s.conversions, s.metrics); "
        "SET CONSTRAINTS ALL IMMEDIATE; RETURN; " DB_PROBE_END;

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
