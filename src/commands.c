#include "commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"
#include "json.h"
#include "model/catalogue.h"
#include "model/db.h"
#include "model/inspect.h"
#include "model/migration.h"
#include "model/platform_connection.h"
#include "rfc3339.h"
#include "sqlstate.h"

enum { CREDENTIALS_MAX = 1 << 20 };

enum exit_status { DONE, FAILED, USAGE };

static int fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(int status, const char *fmt, ...)
{
        va_list args;

        fflush(stdout);
        fputs("boris-ingestd: ", stderr);
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fputc('\n', stderr);
        return status;
}

/* What to do about the database's last error. */
static const char *advice(const struct db *db)
{
        const char *text = sqlstate_advice(db->sqlstate);

        return text ? text : "look at the database server, then try again";
}

static int fail_db(const struct db *db, const char *what)
{
        return fail(FAILED, "%s: %s: %s", what, db->error, advice(db));
}

static const char *connect_advice(const struct config *config)
{
        return db_url_valid(config->database.url)
                       ? ": look at database.url (or $DATABASE_URL), and whether the server runs"
                       : "";
}

/* 0, or FAILED once it is told; @db is to be closed in either case. */
static int open_database(struct db *db, const struct config *config)
{
        if (db_open(db, config->database.url) == 0)
                return 0;
        return fail(FAILED, "cannot connect to the database: %s%s", db->error, connect_advice(config));
}

/* --- migrate --- */

static void on_migrated(void *ctx, const char *name, const char *what)
{
        unsigned *applied = ctx;

        printf("%s %s\n", name, what);
        fflush(stdout);
        (*applied)++;
}

static int apply_migrations(struct db *db)
{
        unsigned applied = 0;

        if (migration_apply(db, on_migrated, &applied) != 0)
                return fail(FAILED, "%s", db->error);
        if (applied == 0)
                printf("nothing to do: all %zu migrations are applied\n", migration_files_len);
        return DONE;
}

static int print_migrations(struct db *db)
{
        static const char *const remarks[] = {
                [MIGRATION_PENDING] = "pending",
                [MIGRATION_APPLIED] = "",
                [MIGRATION_CHANGED] = " (the file was changed since)",
                [MIGRATION_UNKNOWN] = " (by a newer version)",
        };
        struct migration_list list;

        if (migration_list_read(db, &list) != 0)
                return fail_db(db, "cannot read what was applied");
        for (size_t i = 0; i < list.len; i++) {
                const struct migration *m = &list.items[i];
                char when[RFC3339_TEXT_BYTES] = "";

                if (m->state != MIGRATION_PENDING)
                        rfc3339_format(m->applied_at, when);
                printf("%s %s%s\n", m->name, when, remarks[m->state]);
        }
        migration_list_deinit(&list);
        return DONE;
}

int command_migrate(const struct config *config, bool status_only)
{
        struct db db;
        int status = open_database(&db, config);

        if (status == 0)
                status = status_only ? print_migrations(&db) : apply_migrations(&db);
        db_close(&db);
        return status;
}

/* --- check --- */

struct check {
        struct db db;
        unsigned done;
        unsigned wrong;
};

/* Prints the result of one thing that was looked at; returns @ok. */
static bool report(struct check *c, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static bool report(struct check *c, bool ok, const char *fmt, ...)
{
        va_list args;

        c->done++;
        c->wrong += !ok;
        fputs(ok ? "ok     " : "wrong  ", stdout);
        va_start(args, fmt);
        vprintf(fmt, args);
        va_end(args);
        putchar('\n');
        return ok;
}

static bool report_error(struct check *c, const char *what)
{
        return report(c, false, "%s: %s: %s", what, c->db.error, advice(&c->db));
}

static void check_timescaledb(struct check *c, const struct server_facts *facts)
{
        if (facts->timescaledb[0])
                report(c, true, "timescaledb: version %s", facts->timescaledb);
        else if (facts->timescaledb_available[0])
                report(c, false, "timescaledb: not in this database: run boris-ingestd migrate");
        else
                report(c, false,
                       "timescaledb: not on this server: install its package (Debian 13: "
                       "postgresql-17-timescaledb), preload it, restart PostgreSQL");
}

static bool check_server(struct check *c, struct server_facts *facts)
{
        if (inspect_server(&c->db, facts) != 0)
                return report_error(c, "database");
        report(c, true, "database: PostgreSQL %s", facts->version);
        if (facts->standby)
                report(c, false, "writable: the server is a standby: let database.url point to the primary");
        else if (facts->read_only)
                report(c, false,
                       "writable: default_transaction_read_only is on: turn it off, or use another role");
        else
                report(c, true, "writable");
        if (strcmp(facts->encoding, "UTF8") == 0)
                report(c, true, "encoding: UTF8");
        else
                report(c, false, "encoding: %s: make a database with ENCODING 'UTF8' TEMPLATE template0",
                       facts->encoding);
        check_timescaledb(c, facts);
        return true;
}

static void check_migrations(struct check *c)
{
        struct migration_list list;
        bool ok = true;

        if (migration_list_read(&c->db, &list) != 0) {
                report_error(c, "migrations");
                return;
        }
        for (size_t i = 0; i < list.len; i++) {
                const char *name = list.items[i].name;

                if (list.items[i].state == MIGRATION_PENDING)
                        ok = report(c, false, "migrations: %s is pending: run boris-ingestd migrate", name);
                else if (list.items[i].state == MIGRATION_CHANGED)
                        ok = report(c, false,
                                    "migrations: %s was changed after it was applied: use the version of "
                                    "boris-ingestd that applied it",
                                    name);
                else if (list.items[i].state == MIGRATION_UNKNOWN)
                        ok = report(
                                c, false,
                                "migrations: %s was applied by a newer version of boris-ingestd: use that "
                                "version",
                                name);
        }
        if (ok)
                report(c, true, "migrations: all %zu applied", list.len);
        migration_list_deinit(&list);
}

/* The tables against the first migration's; its tables are made and forgotten in a transaction. */
static void check_catalogue(struct check *c)
{
        struct catalogue_diff diff;

        if (db_run(&c->db, "BEGIN") != 0 || catalogue_compare(&c->db, migration_files[0].sql, &diff) != 0) {
                report_error(c, "tables: cannot be compared with what they should be");
                (void)db_run(&c->db, "ROLLBACK");
                return;
        }
        (void)db_run(&c->db, "ROLLBACK"); /* a connection that is lost now shows at the next step */
        if (diff.refused_len > 0)
                report(c, false, "tables: %zu difference%s: %s: change them back", diff.refused_len,
                       diff.refused_len == 1 ? "" : "s", diff.refused);
        for (size_t i = 0; i < diff.additions_len; i++)
                report(c, false, "tables: %s is missing: %s", diff.additions[i].name, diff.additions[i].sql);
        if (diff.refused_len == 0 && diff.additions_len == 0)
                report(c, true, "tables: as they should be");
        catalogue_diff_deinit(&diff);
}

static void check_hypertable(struct check *c, const struct schema_facts *schema)
{
        struct hypertable_facts facts;

        if (inspect_hypertable(&c->db, &facts) != 0)
                report_error(c, "hypertable");
        else if (!facts.exists)
                report(c, false, "hypertable: spending is a plain table: run boris-ingestd migrate");
        else if (!facts.fits)
                report(c, false,
                       "hypertable: by %s in chunks of %s instead of collected_at, 7 days: "
                       "set_chunk_time_interval can change the length",
                       facts.column, facts.interval);
        else if (strcmp(schema->key, "PRIMARY KEY (id, collected_at)") != 0)
                report(c, false,
                       "hypertable: spending has \"%s\" instead of PRIMARY KEY (id, collected_at): change it",
                       schema->key);
        else
                report(c, true, "hypertable: spending by collected_at, in chunks of 1 week");
}

static void check_schema(struct check *c, const struct server_facts *server)
{
        struct schema_facts facts;

        if (inspect_schema(&c->db, &facts) != 0) {
                report_error(c, "tables");
                return;
        }
        if (!facts.complete) {
                report(c, false, "tables: some are missing: run boris-ingestd migrate");
                return;
        }
        if (!facts.on_path)
                report(c, false,
                       "search_path: the tables of schema public are not found first: "
                       "ALTER ROLE ... SET search_path = public");
        if (!server->standby && !server->read_only)
                check_catalogue(c);
        if (server->timescaledb[0])
                check_hypertable(c, &facts);
        if (facts.missing[0])
                report(c, false, "rights: this role lacks %s: GRANT them", facts.missing);
        else
                report(c, true, "rights: tables can be read and written");
}

int command_check(const struct config *config)
{
        struct check c = {0};
        struct server_facts server;

        report(&c, true, "configuration");
        if (db_open(&c.db, config->database.url) != 0) {
                report(&c, false, "database: %s%s", c.db.error, connect_advice(config));
        } else if (check_server(&c, &server)) {
                check_migrations(&c);
                check_schema(&c, &server);
        }
        db_close(&c.db);
        if (c.wrong > 0)
                return fail(FAILED, "%u of %u things are wrong: see above for each", c.wrong, c.done);
        return DONE;
}

/* --- connection --- */

/* All of standard input. */
static int read_credentials(struct buf *out)
{
        ssize_t n;

        if (isatty(STDIN_FILENO))
                fputs("Credentials as a JSON object, then Ctrl-D:\n", stderr);
        buf_reserve(out, CREDENTIALS_MAX + 1); /* at once, so that no copy of a secret is left behind */
        do {
                n = read(STDIN_FILENO, out->data + out->len, CREDENTIALS_MAX + 1 - out->len);
                if (n > 0)
                        out->len += (size_t)n;
        } while (n > 0 && out->len <= CREDENTIALS_MAX);
        if (n < 0)
                return fail(FAILED, "cannot read the credentials from standard input: try again");
        if (out->len > CREDENTIALS_MAX)
                return fail(FAILED, "the credentials on standard input are longer than 1 MiB: send less");
        return 0;
}

/* What is wrong must be told without a piece of it. */
static int validate_credentials(struct slice text)
{
        struct json_scratch scratch = {0};
        struct json_reader reader;
        struct json_value value;
        int status = 0;

        json_reader_init(&reader, text, &scratch);
        if (!json_read(&reader, &value) || !json_finish(&reader))
                status = fail(FAILED,
                              "the credentials on standard input are no valid JSON (%s): give a JSON object",
                              reader.error);
        else if (value.type != JSON_OBJECT)
                status = fail(FAILED, "the credentials on standard input must be a JSON object");
        if (scratch.text)
                explicit_bzero(scratch.text, scratch.text_cap);
        json_scratch_deinit(&scratch);
        return status;
}

static int insert_connection(const struct config *config, const struct platform_connection_new *row)
{
        char text[UUID_TEXT_LEN + 1];
        struct uuid id;
        struct db db;
        int status = open_database(&db, config);
        int err = status ? ERR_DB : platform_connection_insert(&db, row, &id);

        if (err == 0) {
                uuid_format(&id, text);
                puts(text);
        } else if (err == ERR_EXISTS) {
                status =
                        fail(FAILED,
                             "a connection of this id is there already: leave --id out, or give another one");
        } else if (err == ERR_INVALID) {
                status = fail(FAILED, "the database refuses the credentials: %s: change them", db.error);
        } else if (status == 0) {
                status = fail_db(&db, "cannot store the connection");
        }
        db_close(&db);
        return status;
}

int command_connection_create(const struct config *config, const char *platform, const char *id)
{
        struct platform_connection_new row = {0};
        struct buf input = {0};
        struct uuid uuid;
        int status;

        if (!platform_parse(slice_str(platform), &row.platform))
                return fail(USAGE, "PLATFORM must be META, GOOGLE_ADS or TIKTOK; see boris-ingestd --help");
        if (id && !uuid_parse(slice_str(id), &uuid))
                return fail(USAGE, "--id must be a UUID; see boris-ingestd --help");
        row.id = id ? &uuid : NULL;
        status = read_credentials(&input);
        row.credentials = (struct slice){input.data, input.len};
        if (status == 0)
                status = validate_credentials(row.credentials);
        if (status == 0)
                status = insert_connection(config, &row);
        explicit_bzero(input.data, input.cap);
        buf_deinit(&input);
        return status;
}

int command_connection_list(const struct config *config)
{
        struct platform_connection_summary *list = NULL;
        size_t len = 0;
        struct db db;
        int status = open_database(&db, config);

        if (status == 0 && platform_connection_list(&db, &list, &len) != 0)
                status = fail_db(&db, "cannot list the connections");
        for (size_t i = 0; i < len; i++) {
                char id[UUID_TEXT_LEN + 1];
                char created[RFC3339_TEXT_BYTES];

                uuid_format(&list[i].id, id);
                rfc3339_format(list[i].created_at, created);
                printf("%s %-10s created %s, %lld ad accounts\n", id, platform_name(list[i].platform),
                       created, (long long)list[i].accounts);
        }
        free(list);
        db_close(&db);
        return status;
}
