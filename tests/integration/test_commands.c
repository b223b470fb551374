/* The subcommands: what they print, where, and their exit status. */
#include "database.h"

#include <fcntl.h>
#include <glob.h>

#include "base/uuid.h"
#include "commands/commands.h"

static struct database d;
static struct config config;
static char output[8192]; /* of the last command, standard output */
static char errors[2048]; /* standard error */

static void set_url(char *url)
{
        static char none[] = "";

        config = (struct config){.database = {.url = url, .password_file = none, .password = none},
                                 .listen = {.unix_path = none,
                                            .tcp = none,
                                            .tls_cert = none,
                                            .tls_key = none,
                                            .tls_client_ca = none,
                                            .tls_client_crl = none,
                                            .allow_users = none,
                                            .allow_groups = none},
                                 .http.listen = none,
                                 .credentials.key_file = none,
                                 .rejects.file = none,
                                 .spool.dir = none};
}

static int make(void **state)
{
        (void)state;
        database_make(&d);
        set_url(d.url);
        return 0;
}

static int make_migrated(void **state)
{
        make(state);
        assert_db_ok(&d, database_migrate(&d));
        return 0;
}

static int drop(void **state)
{
        (void)state;
        database_drop(&d);
        return 0;
}

/* --- running a command with its streams in files --- */

struct redirection {
        FILE *file;
        int fd;
        int saved;
};

static void redirect(struct redirection *r, int fd)
{
        r->file = tmpfile();
        assert_non_null(r->file);
        r->fd = fd;
        r->saved = dup(fd);
        assert_int_equal(dup2(fileno(r->file), fd), fd);
}

static void restore(struct redirection *r, char *ret_text, size_t size)
{
        fflush(NULL);
        assert_int_equal(dup2(r->saved, r->fd), r->fd);
        close(r->saved);
        if (ret_text) {
                rewind(r->file);
                ret_text[fread(ret_text, 1, size - 1, r->file)] = '\0';
        }
        fclose(r->file);
}

enum command { MIGRATE, STATUS, CHECK, CREATE, LIST };

static struct {
        const char *platform;
        const char *id;
} create_arguments;

static int run(enum command command, const char *input, size_t input_len)
{
        struct redirection streams[3];
        int status = -1;

        fflush(NULL);
        for (int fd = 0; fd < 3; fd++)
                redirect(&streams[fd], fd);
        fwrite(input, 1, input_len, streams[0].file);
        rewind(streams[0].file);
        switch (command) {
        case MIGRATE:
        case STATUS:
                status = command_migrate(&config, command == STATUS);
                break;
        case CHECK:
                status = command_check(&config, false, "table");
                break;
        case CREATE:
                status = command_connection_create(&config, create_arguments.platform, create_arguments.id,
                                                   NULL, NULL);
                break;
        case LIST:
                status = command_connection_list(&config, "table");
                break;
        }
        restore(&streams[0], NULL, 0);
        restore(&streams[1], output, sizeof(output));
        restore(&streams[2], errors, sizeof(errors));
        return status;
}

static int create(const char *platform, const char *id, const char *input)
{
        create_arguments.platform = platform;
        create_arguments.id = id;
        return run(CREATE, input, strlen(input));
}

static void assert_contains(const char *text, const char *piece)
{
        if (!strstr(text, piece))
                fail_msg("\"%s\" is not in: %s", piece, text);
}

/* Every failure is reported in one line. */
static void assert_told(const char *piece)
{
        assert_contains(errors, piece);
        assert_ptr_equal(strstr(errors, "boris-ingestd: "), errors);
        assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
}

/* --- migrate --- */

/* Asserts that the output names each file in migrations/, in order and with its state, and nothing else; returns their
 * number. */
static size_t assert_migrations_are(const char *state)
{
        glob_t files;
        const char *rest = output;
        char line[256];
        size_t n;

        assert_int_equal(glob(SOURCE_DIR "/migrations/*.sql", 0, NULL, &files), 0);
        for (size_t i = 0; i < files.gl_pathc; i++) {
                int len = snprintf(line, sizeof(line), "%s %s\n", strrchr(files.gl_pathv[i], '/') + 1, state);

                if (strncmp(rest, line, (size_t)len) != 0)
                        fail_msg("\"%s\" does not begin with: %s", rest, line);
                rest += len;
        }
        assert_string_equal(rest, "");
        n = files.gl_pathc;
        globfree(&files);
        return n;
}

static void test_migrate(void **state)
{
        char nothing[64];
        size_t n;

        (void)state;
        assert_int_equal(run(STATUS, "", 0), 0);
        n = assert_migrations_are("pending");
        assert_int_equal(run(MIGRATE, "", 0), 0);
        assert_migrations_are("applied");
        assert_int_equal(run(MIGRATE, "", 0), 0);
        snprintf(nothing, sizeof(nothing), "nothing to do: all %zu migrations are applied\n", n);
        assert_string_equal(output, nothing);
        assert_int_equal(run(STATUS, "", 0), 0);
        assert_contains(output, "0001_schema.sql 20");
        assert_string_equal(errors, "");
        assert_db_ok(&d, db_run(&d.db, "INSERT INTO boris_ingestd_migrations VALUES ('0099_x.sql', '')"));
        assert_int_equal(run(STATUS, "", 0), 0);
        assert_contains(output, "(by a newer version)\n");
        assert_int_equal(run(MIGRATE, "", 0), 1);
        assert_told("0099_x.sql was applied by a newer version");
}

static void test_unreachable(void **state)
{
        static char url[] = "host=127.0.0.1 port=1";

        (void)state;
        set_url(url);
        assert_int_equal(run(MIGRATE, "", 0), 1);
        assert_told("correct host and port in database.url");
        assert_int_equal(run(LIST, "", 0), 1);
        assert_told("cannot connect to the database");
        assert_int_equal(create("META", NULL, "{}"), 1);
        assert_told("cannot connect to the database");
        assert_int_equal(run(CHECK, "", 0), 1);
        assert_contains(output, "wrong  database: ");
        assert_told("1 of 2 checks failed");
}

/* --- check --- */

static void test_check(void **state)
{
        static const struct {
                const char *damage; /* not in a transaction: each case gets a database of its own */
                const char *told;
        } cases[] = {
                {"SELECT 1", NULL},
                {"DROP TABLE spending", "wrong  tables are missing: run boris-ingestd migrate"},
                {"ALTER TABLE spending DROP CONSTRAINT spending_pkey",
                 "ADD CONSTRAINT spending_pkey PRIMARY KEY (id, collected_at)"},
                {"ALTER TABLE spending ALTER amount_cents TYPE numeric",
                 "wrong  column spending.amount_cents is numeric instead of bigint: ALTER TABLE public.spending "
                 "ALTER COLUMN amount_cents TYPE bigint"},
                {"DELETE FROM boris_ingestd_migrations WHERE name LIKE '0002%'",
                 "wrong  migrations: 0002_timescaledb_spending.sql is pending"},
                {"UPDATE boris_ingestd_migrations SET checksum = ''", "0001_schema.sql was changed after"},
                {"INSERT INTO boris_ingestd_migrations VALUES ('0099_x.sql', '')",
                 "applied by a newer version"},
                {"SELECT set_chunk_time_interval('spending', INTERVAL '1 day')",
                 "wrong  hypertable: by collected_at in chunks of 1 day"},
                {"ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_account_external",
                 "wrong  ad_objects does not have UNIQUE (ad_account_id, external_id): run boris-ingestd migrate"},
                {"ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_account_external; "
                 "CREATE UNIQUE INDEX ON ad_objects (ad_account_id, external_id, lower(name))",
                 "wrong  ad_objects does not have UNIQUE (ad_account_id, external_id): run boris-ingestd migrate"},
                {"ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_parent_id_ad_objects_id_fk",
                 "wrong  tables: constraint ad_objects.ad_objects_parent_id_ad_objects_id_fk is missing: ALTER TABLE "
                 "ad_objects ADD CONSTRAINT ad_objects_parent_id_ad_objects_id_fk FOREIGN KEY (parent_id)"},
                {"DROP TABLE boris_ingestd_connection_labels",
                 "wrong  table boris_ingestd_connection_labels is missing: run boris-ingestd migrate"},
                {"DROP TABLE boris_ingestd_relay", "wrong  table boris_ingestd_relay is missing: run"},
                {"DROP INDEX ad_objects_parent_idx",
                 "missing: CREATE INDEX ad_objects_parent_idx ON ad_objects"},
                {"ALTER TABLE ad_accounts ALTER name SET NOT NULL",
                 "wrong  tables: 1 difference: column ad_accounts.name is"},
                {"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = pg_catalog', "
                 "current_database()); END $$",
                 "wrong  search_path"},
                {"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
                 "current_database()); END $$",
                 "wrong  writable: default_transaction_read_only is on"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                make_migrated(state);
                assert_db_ok(&d, db_run(&d.db, cases[i].damage));
                assert_int_equal(run(CHECK, "", 0), cases[i].told ? 1 : 0);
                if (cases[i].told) {
                        assert_contains(output, cases[i].told);
                        assert_told("see above");
                } else {
                        assert_null(strstr(output, "wrong"));
                        assert_string_equal(errors, "");
                }
                drop(state);
        }
}

static void test_check_before_migrate(void **state)
{
        (void)state;
        assert_int_equal(run(CHECK, "", 0), 1);
        assert_contains(output, "wrong  timescaledb: not in this database: run boris-ingestd migrate");
        assert_contains(output, "wrong  migrations: 0001_schema.sql is pending: run boris-ingestd migrate");
        assert_contains(output, "ok     encoding: UTF8");
        assert_contains(output, "wrong  tables are missing: run boris-ingestd migrate");
        assert_null(strstr(output, "CREATE TABLE"));
}

static void test_check_rights(void **state)
{
        static char url[1200];
        char sql[512];

        (void)state;
        snprintf(sql, sizeof(sql),
                 "CREATE ROLE %s; "
                 "GRANT SELECT ON ad_accounts, ad_objects, spending, boris_ingestd_migrations TO %s; "
                 "GRANT SELECT (id, platform) ON platform_connections TO %s; GRANT INSERT ON spending TO %s",
                 d.name, d.name, d.name, d.name);
        assert_db_ok(&d, db_run(&d.db, sql));
        /* The session acts as the role, as if it had logged in as it. */
        snprintf(url, sizeof(url), "%s%s", d.url,
                 strstr(d.url, "://") ? "&options=-crole%3D" : " options='-crole=");
        snprintf(url + strlen(url), sizeof(url) - strlen(url), "%s%s", d.name,
                 strstr(d.url, "://") ? "" : "'");
        config.database.url = url;
        assert_int_equal(run(CHECK, "", 0), 1);
        assert_contains(output,
                        "wrong  privileges: this role lacks INSERT on ad_accounts, UPDATE on ad_accounts, "
                        "INSERT on ad_objects, UPDATE on ad_objects: GRANT them");
        assert_told("1 of ");
        assert_int_equal(create("META", NULL, "{}"), 1);
        assert_told("permission denied for table platform_connections: grant the privilege");
        snprintf(sql, sizeof(sql), "DROP OWNED BY %s; DROP ROLE %s", d.name, d.name);
        assert_db_ok(&d, db_run(&d.db, sql));
}

/* --- connection --- */

static void test_connection(void **state)
{
        static const char id[] = "0b000000-0000-4000-8000-0000000000Ff";
        struct uuid made;
        char *text;

        (void)state;
        assert_int_equal(create("META", NULL, " {\"token\": \"s3cr3t\", \"n\": 1}\n"), 0);
        assert_true(uuid_parse((struct slice){output, UUID_TEXT_LEN}, &made));
        assert_string_equal(output + UUID_TEXT_LEN, "\n");
        assert_string_equal(errors, "");
        text = database_text(&d, "SELECT credentials->>'token' FROM platform_connections");
        assert_string_equal(text, "s3cr3t");
        free(text);

        assert_int_equal(create("TIKTOK", id, "{}"), 0);
        assert_string_equal(output, "0b000000-0000-4000-8000-0000000000ff\n");
        assert_int_equal(create("TIKTOK", id, "{}"), 1);
        assert_told("already exists");
        assert_int_equal(run(LIST, "", 0), 0);
        assert_contains(output, "0b000000-0000-4000-8000-0000000000ff TIKTOK     created 20");
        assert_contains(output, ", 0 ad accounts, plain credentials\n");
        assert_null(strstr(output, "s3cr3t"));
}

static void test_connection_refused(void **state)
{
        static const struct {
                const char *input;
                const char *told;
        } cases[] = {
                {"", "not valid JSON"},
                {"s3cr3t", "not valid JSON"},
                {"{\"a\":\"s3cr3t\"", "not valid JSON"},
                {"{\"a\":\"s3cr3t\"} s3cr3t", "not valid JSON"},
                {"{\"s3cr3t\":1,\"s3cr3t\":2}", "not valid JSON"},
                {"[\"s3cr3t\"]", "must be a JSON object"},
                {"\"s3cr3t\"", "must be a JSON object"},
                {"{\"s3cr3t\":\"\\u0000\"}", "PostgreSQL's jsonb cannot store the credentials"},
        };
        char *big = malloc((1 << 20) + 3);

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                assert_int_equal(create("META", NULL, cases[i].input), 1);
                assert_told(cases[i].told);
                assert_null(strstr(errors, "s3cr3t"));
                assert_string_equal(output, "");
        }
        assert_int_equal(create("META ", NULL, "{}"), 2);
        assert_told("PLATFORM must be");
        assert_int_equal(create("META", "1", "{}"), 2);
        assert_told("--id must be a UUID");

        assert_non_null(big);
        snprintf(big, (1 << 20) + 3, "{\"a\":\"%*d\"}", (1 << 20) - 8, 1);
        assert_int_equal(strlen(big), 1 << 20);
        assert_int_equal(create("META", NULL, big), 0);
        memcpy(big + (1 << 20), " ", 2);
        assert_int_equal(create("META", NULL, big), 1);
        assert_told("longer than 1 MiB");
        free(big);
        assert_int_equal(database_i64(&d, "SELECT count(*) FROM platform_connections"), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_migrate, make, drop),
                cmocka_unit_test(test_unreachable),
                cmocka_unit_test(test_check),
                cmocka_unit_test_setup_teardown(test_check_before_migrate, make, drop),
                cmocka_unit_test_setup_teardown(test_check_rights, make_migrated, drop),
                cmocka_unit_test_setup_teardown(test_connection, make_migrated, drop),
                cmocka_unit_test_setup_teardown(test_connection_refused, make_migrated, drop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
