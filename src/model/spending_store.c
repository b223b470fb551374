#include "model/spending_store.h"

#include <inttypes.h>
#include <stdio.h>

#include "model/fits.h"

#define COLUMNS                                                                                              \
        "id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "                 \
        "impressions, clicks, conversions, metrics"

/* --- COPY --- */

/* What stands first in each transaction that writes. Whoever holds a lock makes others wait for no longer than this;
 * deadlock_timeout is as long by default. The table's lock comes before any look at its triggers and foreign keys: who
 * makes one waits for it. ONLY: the chunks' locks come with their rows. */
#define LOCK_TIMEOUT_SQL "SET LOCAL lock_timeout = '1s'; "
#define HOLD_SQL         LOCK_TIMEOUT_SQL FITS_HOLD_SPENDING_SQL

#define COPY_SQL         "COPY spending (" COLUMNS ") FROM STDIN (FORMAT binary)"

/* Triggers that can change or drop a row before it is stored (pg_trigger.h: ROW, BEFORE, INSERT). ts_insert_blocker
 * keeps rows out of the hypertable's own, empty, table, into which TimescaleDB's COPY puts none. */
#define HAS_ROW_TRIGGERS_SQL                                                                                 \
        "EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('spending') AND NOT tgisinternal "       \
        "AND tgenabled <> 'D' AND tgtype & 7 = 7 AND tgname <> 'ts_insert_blocker')"

/* The number of buckets must not be 0: SPENDING_ROW_TRIGGERS. That it is one is not seen before the statement runs. */
#define CHECK_ROW_TRIGGERS_SQL "EXECUTE boris_ingestd_row_triggers; "

const char spending_prepare_sql[] =
        "PREPARE boris_ingestd_row_triggers AS "
        "SELECT width_bucket(1::float8, 0, 2, (random() * 0)::int4) WHERE " HAS_ROW_TRIGGERS_SQL "; ";

const char spending_bare_copy_sql[] = COPY_SQL;

const char spending_copy_sql[] = HOLD_SQL CHECK_ROW_TRIGGERS_SQL COPY_SQL;

const char spending_open_copy_sql[] = "BEGIN; " HOLD_SQL COPY_SQL;

/* What else triggers would do on this table; NULL where nothing. */
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

/* One round trip, and one transaction: several statements in one simple query are that. The objects' lock is that of
 * the foreign key's own trigger: nobody can delete the objects until the rows are there for everybody. A
 * trigger or foreign key that was made since the connection was, runs. The array is hidden behind a SELECT, or the
 * planner would compare each of its elements with its statistics, for as long as it takes to find the objects. */
void spending_checked_copy_begin(struct buf *out)
{
        static const char text[] = HOLD_SQL CHECK_ROW_TRIGGERS_SQL
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

/* --- merge --- */

/* The number is "boris" in ASCII. */
#define SELECT_ROW_TRIGGERS_SQL "SELECT " HAS_ROW_TRIGGERS_SQL

const char spending_merge_begin_sql[] = "BEGIN; " HOLD_SQL SELECT_ROW_TRIGGERS_SQL;
const char spending_merge_ids_begin_sql[] =
        "BEGIN; " HOLD_SQL "SELECT pg_advisory_xact_lock(422776564083); " SELECT_ROW_TRIGGERS_SQL;

/* The arrays are hidden behind a SELECT each, since their length times a guessed cost makes the server
 * compile the statement (JIT) for longer than it runs. */
#define GIVEN_SQL                                                                                            \
        "unnest((SELECT $1::uuid[]), (SELECT $2::uuid[]), "                                                  \
        "(SELECT $3::timestamptz[]), (SELECT $4::timestamptz[]), (SELECT $5::timestamptz[]), "               \
        "(SELECT $6::int8[]), (SELECT $7::text[]), "                                                         \
        "(SELECT $8::int8[]), (SELECT $9::int8[]), (SELECT $10::int8[]), "                                   \
        "(SELECT $11::jsonb[])) WITH ORDINALITY AS u (" COLUMNS ", n)"

/* What was inserted is found by grouping, not by a join, which a wrong guess could make a nested loop. */
#define MERGE_SQL(rows)                                                                                      \
        "WITH inserted AS ("                                                                                 \
        "INSERT INTO spending (" COLUMNS ") SELECT " COLUMNS " FROM " rows " ORDER BY id, collected_at, n "  \
        "ON CONFLICT (id, collected_at) DO NOTHING RETURNING id, collected_at"                               \
        ") SELECT min(k.n)::int4 FROM ("                                                                     \
        "SELECT * FROM unnest((SELECT $1), (SELECT $3)) WITH ORDINALITY AS given (id, collected_at, n) "     \
        "UNION ALL SELECT id, collected_at, NULL FROM inserted"                                              \
        ") AS k GROUP BY k.id, k.collected_at HAVING count(*) > count(k.n)"

const char spending_merge_sql[] = MERGE_SQL(GIVEN_SQL);

/* count(*) reads an index where LIMIT 1 might try its luck with the whole table. */
const char spending_merge_ids_sql[] =
        MERGE_SQL("(SELECT u.*, min(u.n) OVER (PARTITION BY u.id) AS first_n FROM " GIVEN_SQL
                  ") AS i WHERE i.n = i.first_n AND (SELECT count(*) FROM spending s WHERE s.id = i.id) = 0");

/* Of several rows with one id one that is the same will do. */
#define COMPARE_SQL(which)                                                                                   \
        "SELECT u.n::int4, (SELECT bool_or((s.ad_object_id, s.period_start, s.period_end, s.amount_cents, "  \
        "s.currency, s.impressions, s.clicks, s.conversions, s.metrics::text) IS NOT DISTINCT FROM "         \
        "(u.ad_object_id, u.period_start, u.period_end, u.amount_cents, u.currency, u.impressions, "         \
        "u.clicks, u.conversions, u.metrics::text)) FROM spending s WHERE s.id = u.id" which                 \
        ") FROM " GIVEN_SQL

/* The two bounds leave all other chunks out of the plan. The difference hides the time from the index on collected_at, in
 * which all rows of a collection are alike: in a chunk without statistics the planner takes that for as good as the
 * primary key. */
const char spending_compare_sql[] =
        COMPARE_SQL(" AND s.collected_at BETWEEN $12::timestamptz AND $13::timestamptz "
                    "AND s.collected_at - u.collected_at = '0'::interval");

const char spending_compare_ids_sql[] = COMPARE_SQL("");

/* --- probe --- */

/* A few accounts are tried, since all of one may be to blame. An object that somebody has locked would stop the
 * probe as it stops the rows. */
#define PROBE_SQL(likely)                                                                                    \
        "SELECT likely.ad_object_id, (extract(epoch FROM likely.period_start) * 1000000)::int8, "            \
        "(extract(epoch FROM likely.period_end) * 1000000)::int8, "                                          \
        "(extract(epoch FROM now()) * 1000000)::int8, likely.amount_cents, likely.currency, "                \
        "likely.impressions, likely.clicks, likely.conversions, likely.metrics::text, gen_random_uuid() "    \
        "FROM (SELECT id, currency FROM ad_accounts ORDER BY random() LIMIT 4) AS a, "                       \
        "LATERAL (SELECT few.id FROM (SELECT id FROM ad_objects WHERE ad_account_id = a.id LIMIT 1000) "     \
        "AS few ORDER BY random() LIMIT 2) AS o, "                                                           \
        "LATERAL (SELECT FROM ad_objects x WHERE x.id = o.id FOR KEY SHARE SKIP LOCKED) AS free, "           \
        "LATERAL (" likely ") AS likely"

/* With all that a record can have, and with as little as it can have. */
const char spending_probe_made_sql[] = PROBE_SQL(
        "SELECT o.id AS ad_object_id, now() - random() * interval '7 days' AS period_start, now() AS period_end, "
        "(random() * 1000000)::int8 AS amount_cents, a.currency, 1000::int8 AS impressions, 10::int8 AS clicks, "
        "1::int8 AS conversions, '{}'::jsonb AS metrics "
        "UNION ALL SELECT o.id, now() - interval '1 day', now(), 0, a.currency, NULL, NULL, NULL, NULL");

const char spending_probe_stored_sql[] =
        PROBE_SQL("SELECT " COLUMNS " FROM spending WHERE ad_object_id = o.id LIMIT 1");

/* BEGIN comes late: the statements before it belong to the transaction as well, and where they fail nothing
 * is left open (PostgreSQL documentation, 53.2.2.1). */
void spending_probe_copy(struct buf *out, const struct uuid *id, int64_t collected_at_us,
                         int64_t amount_cents)
{
        static const char text[] = HOLD_SQL COPY_SQL
                "; SET CONSTRAINTS ALL IMMEDIATE; "
                "DO $probe$ BEGIN IF NOT EXISTS (SELECT FROM spending WHERE id = '%s' "
                "AND collected_at = 'epoch'::timestamptz + interval '1 microsecond' * %" PRId64
                " AND amount_cents = %" PRId64 ") THEN RAISE trigger_protocol_violated "
                "USING MESSAGE = 'the database changes what it stores'; END IF; END $probe$; BEGIN; ROLLBACK";
        char id_text[UUID_TEXT_LEN + 1] = "";
        char *to = buf_reserve(out, sizeof(text) + 100);

        uuid_format(id, id_text);
        out->len +=
                (size_t)snprintf(to, sizeof(text) + 100, text, id_text, collected_at_us, amount_cents) + 1;
}
