#include "model/spending_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/rfc3339.h"
#include "model/fits.h"

#define COLUMNS                                                                                              \
        "id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "                 \
        "impressions, clicks, conversions, metrics"

/* --- COPY --- */

/* The start of each writing transaction. It waits no longer than this for a lock; deadlock_timeout has the same default as
 * the long wait. The table is locked before its triggers and foreign keys are read, so a transaction that
 * adds one waits. ONLY: the chunks are locked when rows are inserted. */
#define LONG_SQL  "SET LOCAL lock_timeout = '1s'; " FITS_HOLD_SPENDING_SQL
#define BRIEF_SQL "SET LOCAL lock_timeout = '100ms'; " FITS_HOLD_SPENDING_SQL

/* Both forms of a statement with this start. */
#define HOLDING(before, after)                                                                               \
        {                                                                                                    \
                [LOCK_WAIT_LONG] = before LONG_SQL after, [LOCK_WAIT_BRIEF] = before BRIEF_SQL after         \
        }

#define COPY_SQL "COPY spending (" COLUMNS ") FROM STDIN (FORMAT binary)"

/* Triggers that can change or drop a row before it is stored (pg_trigger.h: ROW, BEFORE, INSERT).
 * ts_insert_blocker protects the hypertable's own table, which stays empty; TimescaleDB's COPY puts no row
 * there. */
#define HAS_ROW_TRIGGERS_SQL                                                                                 \
        "EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('spending') AND NOT tgisinternal "       \
        "AND tgenabled <> 'D' AND tgtype & 7 = 7 AND tgname <> 'ts_insert_blocker')"

/* width_bucket with 0 buckets raises SPENDING_ROW_TRIGGERS. random() keeps the planner from evaluating it earlier. */
#define CHECK_ROW_TRIGGERS_SQL "EXECUTE boris_ingestd_row_triggers; "

const char spending_prepare_sql[] =
        "PREPARE boris_ingestd_row_triggers AS "
        "SELECT width_bucket(1::float8, 0, 2, (random() * 0)::int4) WHERE " HAS_ROW_TRIGGERS_SQL "; ";

const char spending_bare_copy_sql[] = COPY_SQL;

const char *const spending_copy_sql[] = HOLDING("", CHECK_ROW_TRIGGERS_SQL COPY_SQL);

const char *const spending_open_copy_sql[] = HOLDING("BEGIN; ", COPY_SQL);

/* What other triggers on this table would do; NULL if nothing. */
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

/* Several statements in one simple query are one round trip and one transaction. The objects' lock is the
 * one that the foreign key's trigger takes: the objects cannot be deleted until the rows are committed.
 * Triggers and foreign keys created after the connection began do run. The array is hidden behind a SELECT;
 * otherwise the planner compares each element with its statistics, which takes as long as finding the
 * objects. */
void spending_checked_copy_begin(struct buf *out, enum lock_wait wait)
{
        static const char *const texts[] = HOLDING(
                "", CHECK_ROW_TRIGGERS_SQL
                "DO $check$ BEGIN IF (SELECT count(*) FROM (SELECT FROM ad_objects WHERE id = ANY ((SELECT '{");

        buf_put(out, texts[wait], strlen(texts[wait]));
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

const char *const spending_merge_begin_sql[] = HOLDING("BEGIN; ", SELECT_ROW_TRIGGERS_SQL);
const char *const spending_merge_ids_begin_sql[] =
        HOLDING("BEGIN; ", "SELECT pg_advisory_xact_lock(422776564083); " SELECT_ROW_TRIGGERS_SQL);

/* Each array is hidden behind a SELECT: its length times a guessed cost would make the server compile the
 * statement (JIT) for longer than it runs. */
#define GIVEN_SQL                                                                                            \
        "unnest((SELECT $1::uuid[]), (SELECT $2::uuid[]), "                                                  \
        "(SELECT $3::timestamptz[]), (SELECT $4::timestamptz[]), (SELECT $5::timestamptz[]), "               \
        "(SELECT $6::int8[]), (SELECT $7::text[]), "                                                         \
        "(SELECT $8::int8[]), (SELECT $9::int8[]), (SELECT $10::int8[]), "                                   \
        "(SELECT $11::jsonb[])) WITH ORDINALITY AS u (" COLUMNS ", n)"

/* Inserted rows are found by grouping instead of a join, which a wrong estimate could make a nested loop. */
#define MERGE_SQL(rows)                                                                                      \
        "WITH inserted AS ("                                                                                 \
        "INSERT INTO spending (" COLUMNS ") SELECT " COLUMNS " FROM " rows " ORDER BY id, collected_at, n "  \
        "ON CONFLICT (id, collected_at) DO NOTHING RETURNING id, collected_at"                               \
        ") SELECT min(k.n)::int4 FROM ("                                                                     \
        "SELECT * FROM unnest((SELECT $1), (SELECT $3)) WITH ORDINALITY AS given (id, collected_at, n) "     \
        "UNION ALL SELECT id, collected_at, NULL FROM inserted"                                              \
        ") AS k GROUP BY k.id, k.collected_at HAVING count(*) > count(k.n)"

const char spending_merge_sql[] = MERGE_SQL(GIVEN_SQL);

/* count(*) reads an index; with LIMIT 1 the planner might scan the whole table. */
const char spending_merge_ids_sql[] =
        MERGE_SQL("(SELECT u.*, min(u.n) OVER (PARTITION BY u.id) AS first_n FROM " GIVEN_SQL
                  ") AS i WHERE i.n = i.first_n AND (SELECT count(*) FROM spending s WHERE s.id = i.id) = 0");

/* clang-format off */
#define SAME(column) "s." column " IS NOT DISTINCT FROM u." column " AND "

/* Metrics whose bytes are equal (*=, "record image" operator) need no conversion to text. */
#define SAME_SQL \
        SAME("ad_object_id") SAME("period_start") SAME("period_end") SAME("amount_cents") \
        "s.currency COLLATE \"C\" IS NOT DISTINCT FROM u.currency AND " \
        SAME("impressions") SAME("clicks") SAME("conversions") \
        "(ROW(s.metrics)::record OPERATOR(pg_catalog.*=) ROW(u.metrics)::record " \
        "OR s.metrics::text IS NOT DISTINCT FROM u.metrics::text)"

#define COMPARE_SQL(found, which) \
        "SELECT u.n::int4, (SELECT " found "(" SAME_SQL ") FROM spending s WHERE s.id = u.id" which ") FROM " GIVEN_SQL
/* clang-format on */

/* A bound may lie in a year that no literal can hold, by the offset that the client gave. */
static void format_bound(int64_t us, const char *beyond, char ret_text[RFC3339_TEXT_BYTES])
{
        int64_t parsed;

        rfc3339_format(us, ret_text);
        if (rfc3339_parse(slice_str(ret_text), &parsed) != RFC3339_OK || parsed != us)
                snprintf(ret_text, RFC3339_TEXT_BYTES, "%s", beyond);
}

/* The two bounds exclude all other chunks from the plan; they are literals, since a plan that sees the values of
 * parameters copies the arrays several times. The subtraction hides the time from the index on collected_at, in
 * which all rows of a collection are equal: in a chunk without statistics the planner considers that index as
 * good as the primary key. */
void spending_compare(struct buf *out, int64_t first_us, int64_t last_us)
{
        static const char text[] = COMPARE_SQL("", " AND s.collected_at BETWEEN '%s' AND '%s' "
                                                   "AND s.collected_at - u.collected_at = '0'::interval");
        char first[RFC3339_TEXT_BYTES];
        char last[RFC3339_TEXT_BYTES];

        format_bound(first_us, "-infinity", first);
        format_bound(last_us, "infinity", last);
        out->len = 0;
        out->len = (size_t)snprintf(buf_reserve(out, sizeof(text) + sizeof(first) + sizeof(last)),
                                    sizeof(text) + sizeof(first) + sizeof(last), text, first, last);
}

/* If several rows have the id, one equal row is enough. */
const char spending_compare_ids_sql[] = COMPARE_SQL("bool_or", "");

/* --- probe --- */

/* Tries several accounts, since all objects of one may be at fault. Skips locked objects, which would block
 * the probe as they block the rows. */
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

/* One row with every optional value, one with none. */
const char spending_probe_made_sql[] = PROBE_SQL(
        "SELECT o.id AS ad_object_id, now() - random() * interval '7 days' AS period_start, now() AS period_end, "
        "(random() * 1000000)::int8 AS amount_cents, a.currency, 1000::int8 AS impressions, 10::int8 AS clicks, "
        "1::int8 AS conversions, '{}'::jsonb AS metrics "
        "UNION ALL SELECT o.id, now() - interval '1 day', now(), 0, a.currency, NULL, NULL, NULL, NULL");

const char spending_probe_stored_sql[] =
        PROBE_SQL("SELECT " COLUMNS " FROM spending WHERE ad_object_id = o.id LIMIT 1");

/* BEGIN comes late: preceding statements of a simple query belong to the same transaction, and if they fail
 * no transaction is left open (PostgreSQL documentation, 53.2.2.1). */
void spending_probe_copy(struct buf *out, const struct uuid *id, int64_t collected_at_us,
                         int64_t amount_cents, enum lock_wait wait)
{
        static const char *const holds[] = HOLDING("", "");
        static const char text[] =
                "%s" COPY_SQL "; SET CONSTRAINTS ALL IMMEDIATE; "
                "DO $probe$ BEGIN IF NOT EXISTS (SELECT FROM spending WHERE id = '%s' "
                "AND collected_at = 'epoch'::timestamptz + interval '1 microsecond' * %" PRId64
                " AND amount_cents = %" PRId64 ") THEN RAISE trigger_protocol_violated "
                "USING MESSAGE = 'the database changes what it stores'; END IF; END $probe$; BEGIN; ROLLBACK";
        char id_text[UUID_TEXT_LEN + 1] = "";
        size_t room = sizeof(text) + strlen(holds[wait]) + 100;
        char *to = buf_reserve(out, room);

        uuid_format(id, id_text);
        out->len += (size_t)snprintf(to, room, text, holds[wait], id_text, collected_at_us, amount_cents) + 1;
}
