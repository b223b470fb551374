/* Migrations on a real server: what they create, what they adopt, what they refuse. */
#include "database.h"

#include <sys/wait.h>

#include "base/err.h"

/* Creates a database with Drizzle's tables. */
static void make_drizzle(struct database *d)
{
        FILE *file = fopen(SOURCE_DIR "/tests/integration/drizzle_schema.sql", "r");
        char sql[16384];
        size_t len;

        assert_non_null(file);
        len = fread(sql, 1, sizeof(sql) - 1, file);
        assert_in_range(len, 1000, sizeof(sql) - 2);
        fclose(file);
        sql[len] = '\0';
        database_make(d);
        assert_db_ok(d, db_run(&d->db, sql));
}

/* --- the catalogue --- */

/* Independent of the module's own comparison: every table, column, type, constraint and index. */
#define DUMP_SQL(ordinal)                                                                                    \
        "SELECT string_agg(line, E'\\n' ORDER BY line COLLATE \"C\") FROM ("                                 \
        "SELECT format('%s %s %s %s %s null=%s default=%s', table_name, " ordinal ", column_name, "          \
        "udt_schema, udt_name, is_nullable, column_default) FROM information_schema.columns "                \
        "WHERE table_schema = 'public' "                                                                     \
        "UNION ALL "                                                                                         \
        "SELECT format('%s %s', conrelid::regclass, conname || ' ' || pg_get_constraintdef(oid)) "           \
        "FROM pg_constraint WHERE connamespace = 'public'::regnamespace "                                    \
        "UNION ALL "                                                                                         \
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' "                                       \
        "UNION ALL "                                                                                         \
        "SELECT format('%s %s=%s', t.typname, e.enumsortorder, e.enumlabel) FROM pg_enum e JOIN pg_type t "  \
        "ON t.oid = e.enumtypid WHERE t.typnamespace = 'public'::regnamespace"                               \
        ") AS lines (line) WHERE line NOT LIKE '%boris_ingestd_%'"

static void assert_same_dump(struct database *a, struct database *b, const char *dump_sql)
{
        char *first = database_text(a, dump_sql);
        char *second = database_text(b, dump_sql);

        assert_true(strlen(first) > 3000);
        assert_string_equal(first, second);
        free(first);
        free(second);
}

static void assert_same_catalogue(struct database *a, struct database *b)
{
        assert_same_dump(a, b, DUMP_SQL("ordinal_position"));
}

/* With the deviation made by hand, Drizzle's tables equal ours exactly. */
static void test_catalogue_equals_drizzle(void **state)
{
        struct database drizzle;
        struct database ours;

        (void)state;
        make_drizzle(&drizzle);
        assert_db_ok(&drizzle,
                     db_run(&drizzle.db, "ALTER TABLE spending DROP CONSTRAINT spending_pkey; "
                                         "ALTER TABLE spending ADD PRIMARY KEY (id, collected_at)"));
        database_make(&ours);
        assert_db_ok(&ours, database_migrate(&ours));
        assert_same_catalogue(&drizzle, &ours);
        database_drop(&drizzle);
        database_drop(&ours);
}

static void assert_hypertable(struct database *d)
{
        char *text = database_text(d, "SELECT string_agg(column_name || ' ' || time_interval, ',') "
                                      "FROM timescaledb_information.dimensions "
                                      "WHERE hypertable_schema = 'public' AND hypertable_name = 'spending'");

        assert_string_equal(text, "collected_at 7 days");
        free(text);
}

static void test_hypertable(void **state)
{
        struct database d;

        (void)state;
        database_make(&d);
        assert_db_ok(&d, database_migrate(&d));
        assert_hypertable(&d);
        database_drop(&d);
}

/* --- the ledger --- */

static void assert_states(struct database *d, enum migration_state first, enum migration_state second)
{
        struct migration_list list;

        assert_db_ok(d, migration_list_read(&d->db, &list));
        assert_int_equal(list.len, migration_files_len);
        assert_int_equal(list.items[0].state, first);
        assert_int_equal(list.items[1].state, second);
        assert_true((list.items[0].applied_at != 0) == (first != MIGRATION_PENDING));
        migration_list_deinit(&list);
}

static void count_stats(void *ctx, const char *name, const char *what)
{
        unsigned *count = ctx;

        assert_string_equal(name, migration_files[*count].name);
        assert_string_equal(what, "applied");
        (*count)++;
}

static void test_again(void **state)
{
        struct database d;
        unsigned count = 0;

        (void)state;
        database_make(&d);
        assert_states(&d, MIGRATION_PENDING, MIGRATION_PENDING);
        assert_db_ok(&d, migration_apply(&d.db, count_stats, &count));
        assert_int_equal(count, migration_files_len);
        assert_states(&d, MIGRATION_APPLIED, MIGRATION_APPLIED);
        assert_db_ok(&d, migration_apply(&d.db, count_stats, &count));
        assert_int_equal(count, migration_files_len);
        database_drop(&d);
}

static void test_changed_file(void **state)
{
        struct database d;

        (void)state;
        database_make(&d);
        assert_db_ok(&d, database_migrate(&d));
        assert_db_ok(&d, db_run(&d.db, "UPDATE boris_ingestd_migrations SET checksum = repeat('0', 32) "
                                       "WHERE name LIKE '0002%'"));
        assert_int_equal(database_migrate(&d), ERR_SCHEMA);
        assert_non_null(strstr(d.db.error, "0002_timescaledb_spending.sql was changed after it was applied"));
        assert_states(&d, MIGRATION_APPLIED, MIGRATION_CHANGED);
        database_drop(&d);
}

static void test_newer_schema(void **state)
{
        struct migration_list list;
        struct database d;

        (void)state;
        database_make(&d);
        assert_db_ok(&d, database_migrate(&d));
        assert_db_ok(&d,
                     db_run(&d.db, "INSERT INTO boris_ingestd_migrations VALUES ('0099_future.sql', 'x')"));
        assert_int_equal(database_migrate(&d), ERR_SCHEMA);
        assert_non_null(strstr(d.db.error, "0099_future.sql was applied by a newer version"));
        assert_db_ok(&d, migration_list_read(&d.db, &list));
        assert_int_equal(list.len, migration_files_len + 1);
        assert_string_equal(list.items[list.len - 1].name, "0099_future.sql");
        assert_int_equal(list.items[list.len - 1].state, MIGRATION_UNKNOWN);
        migration_list_deinit(&list);
        database_drop(&d);
}

/* --- several at once --- */

static void test_at_once(void **state)
{
        enum { RUNS = 4 };
        struct database d;
        pid_t pids[RUNS];

        (void)state;
        database_make(&d);
        fflush(NULL);
        for (int i = 0; i < RUNS; i++) {
                pids[i] = fork();
                assert_int_not_equal(pids[i], -1);
                if (pids[i] == 0)
                        _exit(database_migrate(&d) == 0 ? 0 : 1);
        }
        for (int i = 0; i < RUNS; i++) {
                int status;

                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        assert_states(&d, MIGRATION_APPLIED, MIGRATION_APPLIED);
        database_drop(&d);
}

/* --- adoption --- */

/* 1000 rows over ten weeks. */
static const char rows_sql[] =
        "INSERT INTO platform_connections (platform, credentials) VALUES ('META', '{}'); "
        "INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone) "
        "SELECT id, 'act', 'USD', 'UTC' FROM platform_connections; "
        "INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
        "SELECT id, 'o', 'AD', 'ACTIVE' FROM ad_accounts; "
        "INSERT INTO spending (ad_object_id, collected_at, period_start, period_end, amount_cents, currency, "
        "metrics) "
        "SELECT o.id, timestamptz '2026-01-01 00:00Z' + n * interval '100 minutes', '2026-01-01', "
        "'2026-01-02', n, 'USD', jsonb_build_object('n', n) FROM ad_objects o, generate_series(1, 1000) n";

static const char rows_digest_sql[] = "SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM spending s";

static void test_adoption(void **state)
{
        struct database fresh;
        struct database d;
        char *before;
        char *after;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d, db_run(&d.db, rows_sql));
        before = database_text(&d, rows_digest_sql);
        assert_db_ok(&d, database_migrate(&d));
        after = database_text(&d, rows_digest_sql);
        assert_string_equal(before, after);
        assert_states(&d, MIGRATION_APPLIED, MIGRATION_APPLIED);
        assert_hypertable(&d);
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM show_chunks('spending')"), 10);
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM ONLY spending"), 0);
        database_make(&fresh);
        assert_db_ok(&fresh, database_migrate(&fresh));
        assert_same_catalogue(&fresh, &d);
        free(before);
        free(after);
        database_drop(&fresh);
        database_drop(&d);
}

static void test_adoption_adds_what_is_missing(void **state)
{
        struct database fresh;
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d,
                     db_run(&d.db, "DROP INDEX spending_collected_at_idx; DROP INDEX ad_objects_parent_idx; "
                                   "ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_account_external; "
                                   "ALTER TABLE ad_accounts DROP CONSTRAINT "
                                   "ad_accounts_platform_connection_id_platform_connections_id_fk"));
        assert_db_ok(&d, database_migrate(&d));
        database_make(&fresh);
        assert_db_ok(&fresh, database_migrate(&fresh));
        assert_same_catalogue(&fresh, &d);
        database_drop(&fresh);
        database_drop(&d);
}

static void test_adoption_adds_columns_tables_and_types(void **state)
{
        struct database fresh;
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(
                &d,
                db_run(&d.db,
                       "DROP TABLE spending; DROP TABLE ad_objects; DROP TYPE ad_object_type; "
                       "ALTER TABLE ad_accounts DROP COLUMN name; "
                       "ALTER TABLE ad_accounts DROP COLUMN created_at; "
                       "INSERT INTO platform_connections (platform, credentials) VALUES ('META', '{}'); "
                       "INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone) "
                       "SELECT id, '1', 'USD', 'UTC' FROM platform_connections"));
        assert_db_ok(&d, database_migrate(&d));
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM ad_accounts WHERE created_at IS NOT NULL"),
                         1);
        assert_db_ok(&d, db_run(&d.db, rows_sql));
        assert_hypertable(&d);
        database_make(&fresh);
        assert_db_ok(&fresh, database_migrate(&fresh));
        assert_same_dump(&fresh, &d, DUMP_SQL("0")); /* the order of columns does not matter */
        database_drop(&fresh);
        database_drop(&d);
}

/* Harmless additions are kept. */
static void test_adoption_tolerates(void **state)
{
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d, db_run(&d.db, "ALTER TABLE spending ADD COLUMN note text; "
                                       "ALTER TABLE ad_objects ADD COLUMN seen bigint NOT NULL DEFAULT 0; "
                                       "CREATE INDEX by_note ON spending (note); "
                                       "ALTER TABLE spending ADD CHECK (period_start < period_end); "
                                       "CREATE TABLE others (spending_id uuid, platform platform); "
                                       "CREATE SCHEMA drizzle; "
                                       "CREATE TABLE drizzle.__drizzle_migrations (id serial, hash text)"));
        assert_db_ok(&d, database_migrate(&d));
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM pg_indexes WHERE indexname = 'by_note'"), 1);
        database_drop(&d);
}

static void test_adoption_refuses(void **state)
{
        static const struct {
                const char *sql;
                const char *told;
        } cases[] = {
                {"ALTER TABLE spending ALTER currency TYPE varchar(3)",
                 "column spending.currency is \"character varying(3) NOT NULL\" instead of \"text NOT "
                 "NULL\""},
                {"ALTER TABLE spending ALTER amount_cents TYPE int", "column spending.amount_cents is"},
                {"ALTER TABLE spending ALTER collected_at TYPE timestamp", "column spending.collected_at is"},
                {"ALTER TABLE spending ALTER conversions SET NOT NULL", "column spending.conversions is"},
                {"ALTER TABLE ad_accounts ALTER timezone DROP NOT NULL", "column ad_accounts.timezone is"},
                {"ALTER TABLE ad_objects ALTER updated_at DROP DEFAULT", "column ad_objects.updated_at is"},
                {"ALTER TABLE ad_objects ALTER external_id TYPE text COLLATE \"POSIX\"",
                 "column ad_objects.external_id is"},
                {"ALTER TABLE spending ADD COLUMN tenant text NOT NULL",
                 "column spending.tenant should not be there"},
                {"ALTER TYPE platform ADD VALUE 'LINKEDIN'",
                 "enum type platform is \"META, GOOGLE_ADS, TIKTOK, LINKEDIN\" instead of"},
                {"ALTER TYPE ad_object_status RENAME TO status", "column ad_objects.status is \"status"},
                {"CREATE UNIQUE INDEX once ON spending (ad_object_id, period_start)",
                 "index spending.once should not be there"},
                {"ALTER TABLE ad_objects ADD CONSTRAINT once UNIQUE (external_id)",
                 "constraint ad_objects.once should not be there"},
                {"ALTER TABLE spending DROP CONSTRAINT spending_ad_object_id_ad_objects_id_fk, "
                 "ADD CONSTRAINT spending_ad_object_id_ad_objects_id_fk FOREIGN KEY (ad_object_id) "
                 "REFERENCES ad_objects (id)",
                 "constraint spending.spending_ad_object_id_ad_objects_id_fk is"},
                {"DROP INDEX spending_ad_object_idx; CREATE INDEX spending_ad_object_idx ON spending (id)",
                 "index spending.spending_ad_object_idx is"},
                {"ALTER TABLE spending SET UNLOGGED", "table spending is \"table, unlogged\""},
                {"ALTER TABLE spending ENABLE ROW LEVEL SECURITY",
                 "table spending is \"table, with row security\""},
                {"DROP TABLE spending; CREATE VIEW spending AS SELECT 1", "table spending is \"no table\""},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct database d;

                make_drizzle(&d);
                assert_db_ok(&d, db_run(&d.db, cases[i].sql));
                assert_int_equal(database_migrate(&d), ERR_SCHEMA);
                if (!strstr(d.db.error, cases[i].told) || !strstr(d.db.error, "0001_schema.sql: "))
                        fail_msg("%s: %s", cases[i].sql, d.db.error);
                assert_states(&d, MIGRATION_PENDING, MIGRATION_PENDING);
                assert_int_equal(database_i64(&d, "SELECT count(*) FROM pg_constraint WHERE contype = 'c' "
                                                  "AND connamespace = 'public'::regnamespace"),
                                 0);
                database_drop(&d);
        }
}

/* The hypertable was created by hand. */
static void test_adoption_of_a_hypertable(void **state)
{
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d, db_run(&d.db, "CREATE EXTENSION timescaledb; "
                                       "ALTER TABLE spending DROP CONSTRAINT spending_pkey; "
                                       "ALTER TABLE spending ADD PRIMARY KEY (id, collected_at); "
                                       "SELECT create_hypertable('spending', by_range('collected_at', "
                                       "INTERVAL '1 day'), create_default_indexes => false)"));
        assert_db_ok(&d, db_run(&d.db, rows_sql));
        assert_db_ok(&d, database_migrate(&d));
        assert_hypertable(&d);
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending"), 1000);
        database_drop(&d);
}

/* --- failures --- */

/* A failing file is rolled back; the files before it stay applied. */
static void test_failure_in_the_second_file(void **state)
{
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d, db_run(&d.db, "CREATE TABLE notes (spending_id uuid REFERENCES spending (id))"));
        assert_int_equal(database_migrate(&d), ERR_DB);
        assert_non_null(
                strstr(d.db.error, "0002_timescaledb_spending.sql: cannot drop constraint spending_pkey"));
        assert_states(&d, MIGRATION_APPLIED, MIGRATION_PENDING);
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"),
                         0);
        assert_db_ok(&d, db_run(&d.db, "DROP TABLE notes"));
        assert_db_ok(&d, database_migrate(&d));
        assert_hypertable(&d);
        database_drop(&d);
}

/* --- repairs, with a ledger that is complete --- */

struct repairs {
        char text[4096];
};

static void note_repair(void *ctx, const char *name, const char *what)
{
        struct repairs *r = ctx;
        size_t len = strlen(r->text);

        snprintf(r->text + len, sizeof(r->text) - len, "%s %s\n", name, what);
}

static void make_with_rows(struct database *d)
{
        database_make(d);
        assert_db_ok(d, database_migrate(d));
        assert_db_ok(d, db_run(&d->db, rows_sql));
}

static void test_repairs(void **state)
{
        static const struct {
                const char *damage;
                const char *repair;
                int64_t rows;
        } cases[] = {
                {"ALTER TABLE spending DROP CONSTRAINT spending_pkey",
                 "repair: added constraint spending.spending_pkey\n", 1000},
                {"DROP INDEX spending_collected_at_idx",
                 "repair: added index spending.spending_collected_at_idx\n", 1000},
                {"ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_account_external",
                 "repair: added constraint ad_objects.ad_objects_account_external\n", 1000},
                {"ALTER TABLE spending RENAME TO old; CREATE TABLE spending (LIKE old INCLUDING DEFAULTS); "
                 "INSERT INTO spending TABLE old; DROP TABLE old",
                 "repair: added hypertable spending\n", 1000},
                {"DROP TABLE spending", "repair: added hypertable spending\n", 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct repairs repairs = {""};
                struct database untouched;
                struct database d;

                make_with_rows(&d);
                (void)db_run(&d.db, cases[i].damage);
                assert_db_ok(&d, migration_apply(&d.db, note_repair, &repairs));
                assert_non_null(strstr(repairs.text, cases[i].repair));
                assert_hypertable(&d);
                assert_int_equal(database_i64(&d, "SELECT count(*) FROM spending"), cases[i].rows);
                repairs.text[0] = '\0';
                assert_db_ok(&d, migration_apply(&d.db, note_repair, &repairs));
                assert_string_equal(repairs.text, "");
                database_make(&untouched);
                assert_db_ok(&untouched, database_migrate(&untouched));
                assert_same_dump(&d, &untouched, DUMP_SQL("''"));
                database_drop(&untouched);
                database_drop(&d);
        }
}

static void test_what_is_left(void **state)
{
        static const struct {
                const char *damage;
                const char *left;
        } cases[] = {
                {"ALTER TABLE spending DROP CONSTRAINT spending_pkey; "
                 "INSERT INTO spending SELECT * FROM spending LIMIT 1",
                 "SELECT id, collected_at, count(*) FROM public.spending GROUP BY id, collected_at "
                 "HAVING count(*) > 1"},
                {"ALTER TABLE spending ALTER amount_cents TYPE numeric(14,2)",
                 "ALTER TABLE public.spending ALTER COLUMN amount_cents TYPE bigint"},
                {"CREATE RULE r AS ON INSERT TO ad_objects DO INSTEAD NOTHING",
                 "left ad_objects has the rule r: DROP RULE r ON public.ad_objects"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct repairs repairs = {""};
                struct database d;

                make_with_rows(&d);
                assert_db_ok(&d, db_run(&d.db, cases[i].damage));
                assert_int_equal(migration_apply(&d.db, note_repair, &repairs), ERR_SCHEMA);
                assert_non_null(strstr(repairs.text, cases[i].left));
                assert_non_null(strstr(d.db.error, "(see the lines with \"left\" above)"));
                database_drop(&d);
        }
}

static void test_another_encoding(void **state)
{
        struct database d;

        (void)state;
        database_make(&d);
        db_close(&d.db);
        run_on_server("DROP DATABASE IF EXISTS ingestd_test_latin1");
        run_on_server("CREATE DATABASE ingestd_test_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
        snprintf(d.url + strlen(d.url) - strlen(d.name), sizeof(d.name), "ingestd_test_latin1");
        assert_db_ok(&d, db_open(&d.db, d.url));
        assert_int_equal(database_migrate(&d), ERR_SCHEMA);
        assert_non_null(strstr(d.db.error, "encoding is LATIN1, not UTF8: create a database"));
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
        db_close(&d.db);
        run_on_server("DROP DATABASE ingestd_test_latin1");
        assert_int_equal(db_open(&d.db, server_url()), 0);
        database_drop(&d);
}

/* Drizzle's tables accept it. */
static void test_object_that_is_its_own_parent(void **state)
{
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d, db_run(&d.db, rows_sql));
        assert_db_ok(&d, db_run(&d.db, "UPDATE ad_objects SET parent_id = id"));
        assert_db_ok(&d, database_migrate(&d));
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM ad_objects WHERE parent_id = id"),
                         database_i64(&d, "SELECT count(*) FROM ad_objects"));
        database_drop(&d);
}

static void test_missing_rows_in_the_way(void **state)
{
        struct database d;

        (void)state;
        make_drizzle(&d);
        assert_db_ok(&d, db_run(&d.db, rows_sql));
        assert_db_ok(&d,
                     db_run(&d.db,
                            "ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_parent_id_ad_objects_id_fk; "
                            "UPDATE ad_objects SET parent_id = gen_random_uuid()"));
        assert_int_equal(database_migrate(&d), ERR_INVALID);
        assert_non_null(
                strstr(d.db.error,
                       "constraint ad_objects.ad_objects_parent_id_ad_objects_id_fk is missing and cannot be "
                       "added"));
        assert_db_ok(&d, db_run(&d.db, "UPDATE ad_objects SET parent_id = NULL; "
                                       "ALTER TABLE spending DROP COLUMN currency"));
        assert_int_equal(database_migrate(&d), ERR_INVALID);
        assert_non_null(strstr(d.db.error, "column spending.currency is missing and cannot be added"));
        assert_states(&d, MIGRATION_PENDING, MIGRATION_PENDING);
        database_drop(&d);
}

static void test_no_rights(void **state)
{
        struct database d;
        char sql[160];

        (void)state;
        database_make(&d);
        snprintf(sql, sizeof(sql), "CREATE ROLE %s; SET ROLE %s", d.name, d.name);
        assert_db_ok(&d, db_run(&d.db, sql));
        assert_int_equal(migration_apply(&d.db, report_nothing, NULL), ERR_DB);
        assert_string_equal(d.db.sqlstate, "42501");
        assert_non_null(strstr(d.db.error, "as the owner of the database"));
        snprintf(sql, sizeof(sql), "RESET ROLE; DROP OWNED BY %s; DROP ROLE %s", d.name, d.name);
        assert_db_ok(&d, db_run(&d.db, sql));
        database_drop(&d);
}

static void test_read_only(void **state)
{
        struct database d;

        (void)state;
        database_make(&d);
        assert_db_ok(&d, db_run(&d.db, "SET default_transaction_read_only = on"));
        assert_int_equal(migration_apply(&d.db, report_nothing, NULL), ERR_DB);
        assert_non_null(strstr(d.db.error, "let database.url point to the primary server"));
        database_drop(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_catalogue_equals_drizzle),
                cmocka_unit_test(test_hypertable),
                cmocka_unit_test(test_again),
                cmocka_unit_test(test_changed_file),
                cmocka_unit_test(test_newer_schema),
                cmocka_unit_test(test_at_once),
                cmocka_unit_test(test_adoption),
                cmocka_unit_test(test_adoption_adds_what_is_missing),
                cmocka_unit_test(test_adoption_adds_columns_tables_and_types),
                cmocka_unit_test(test_adoption_tolerates),
                cmocka_unit_test(test_adoption_refuses),
                cmocka_unit_test(test_adoption_of_a_hypertable),
                cmocka_unit_test(test_failure_in_the_second_file),
                cmocka_unit_test(test_repairs),
                cmocka_unit_test(test_what_is_left),
                cmocka_unit_test(test_another_encoding),
                cmocka_unit_test(test_object_that_is_its_own_parent),
                cmocka_unit_test(test_missing_rows_in_the_way),
                cmocka_unit_test(test_no_rights),
                cmocka_unit_test(test_read_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
