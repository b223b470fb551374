#include "model/spending.h"

#include <stdio.h>

#include "model/db.h"

#define COLUMNS                                                                                              \
        "id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "                 \
        "impressions, clicks, conversions, metrics"

#define COPY_SQL "COPY spending (" COLUMNS ") FROM STDIN (FORMAT binary)"

const char spending_copy_sql[] = COPY_SQL;

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
        static const char text[] =
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
