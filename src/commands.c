#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "buf.h"
#include "err.h"
#include "model/db.h"
#include "model/migration.h"
#include "model/platform_connection.h"
#include "rfc3339.h"

enum { CREDENTIALS_MAX = 1 << 20 };

static int fail(const char *what, const char *do_what)
{
        fprintf(stderr, "boris-ingestd: %s%s%s\n", what, do_what ? ": " : "", do_what ? do_what : "");
        return 1;
}

/* What to do about the database's last error. */
static const char *advice(const struct db *db)
{
        static const struct {
                const char *sqlstate;
                const char *text;
        } table[] = {
                {"42P01", "run boris-ingestd migrate"},
                {"42501", "use a role with the right to do so (migrate: the owner of the database)"},
                {"0A000", "install TimescaleDB's package on the database server"},
                {"58P01", "install TimescaleDB's package on the database server"},
                {"28P01", "look at user and password in database.url"},
                {"3D000", "create the database, or look at its name in database.url"},
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                if (strcmp(db->sqlstate, table[i].sqlstate) == 0)
                        return table[i].text;
        }
        return NULL;
}

static int fail_db(const struct db *db)
{
        return fail(db->error, advice(db));
}

/* --- migrate --- */

static void on_applied(void *ctx, const char *name, const char *what)
{
        (void)ctx;
        printf("%s %s\n", name, what);
        fflush(stdout);
}

static int print_status(struct db *db)
{
        struct migration_list list;
        int err = migration_list(db, &list);

        if (err)
                return err;
        for (size_t i = 0; i < list.len; i++) {
                char when[RFC3339_TEXT_BYTES];

                rfc3339_format(list.items[i].applied_at, when);
                printf("%s %s\n", list.items[i].name, list.items[i].state == MIGRATION_PENDING ? "pending" : when);
        }
        migration_list_deinit(&list);
        return 0;
}

int command_migrate(const struct config *config, bool status_only)
{
        struct db db;
        int err = db_open(&db, config->database.url);
        int status;

        if (err == 0)
                err = status_only ? print_status(&db) : migration_apply(&db, on_applied, NULL);
        status = err ? fail_db(&db) : 0;
        db_close(&db);
        return status;
}

/* --- check --- */

static int report(bool ok, const char *what, const char *problem, const char *do_what)
{
        if (ok)
                printf("ok     %s\n", what);
        else
                printf("wrong  %s: %s%s%s\n", what, problem, do_what ? ": " : "", do_what ? do_what : "");
        return ok ? 0 : 1;
}

/* Runs a query of one boolean. */
static int check_true(struct db *db, const char *what, const char *sql, const char *problem, const char *do_what)
{
        struct pg_result *res;
        int status;

        if (db_query_row(db, sql, NULL, &res) != 0)
                return report(false, what, db->error, advice(db));
        status = report(db_bool(res, 0, 0), what, problem, do_what);
        db_result_free(res);
        return status;
}

static int check_database(struct db *db)
{
        int wrong = 0;

        wrong |= check_true(db, "database writable",
                            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'",
                            "the server is read-only", "use the primary");
        wrong |= check_true(db, "encoding UTF8", "SELECT getdatabaseencoding() = 'UTF8'", "it is another one",
                            "make a database with ENCODING 'UTF8'");
        wrong |= check_true(db, "rights",
                            "SELECT has_table_privilege('spending', 'INSERT') AND "
                            "has_table_privilege('spending', 'SELECT') AND has_table_privilege('ad_objects', 'SELECT') "
                            "AND has_table_privilege('ad_accounts', 'SELECT') AND "
                            "has_column_privilege('platform_connections', 'id', 'SELECT') AND "
                            "has_column_privilege('platform_connections', 'platform', 'SELECT')",
                            "some are missing", "grant INSERT and SELECT on spending, SELECT on the other tables");
        return wrong;
}

int command_check(const struct config *config)
{
        struct db db;
        int wrong = report(true, "configuration", NULL, NULL);

        if (db_open(&db, config->database.url) != 0) {
                wrong = report(false, "database", db.error, advice(&db));
        } else {
                wrong |= report(true, "database", NULL, NULL);
                wrong |= check_database(&db);
        }
        db_close(&db);
        return wrong;
}

/* --- connections --- */

/* All of standard input; false where it is longer than CREDENTIALS_MAX or cannot be read. */
static bool read_input(struct buf *out)
{
        ssize_t n;

        do {
                n = read(STDIN_FILENO, buf_reserve(out, 64 * 1024), 64 * 1024);
                if (n > 0)
                        out->len += (size_t)n;
        } while (n > 0 && out->len <= CREDENTIALS_MAX);
        return n == 0;
}

static bool is_json_object(const struct buf *text)
{
        const char *end = NULL;
        cJSON *parsed = cJSON_ParseWithLengthOpts(text->data, text->len, &end, false);
        bool ok = cJSON_IsObject(parsed);

        cJSON_Delete(parsed);
        return ok;
}

static int insert_connection(const struct config *config, const struct platform_connection_new *new)
{
        char text[UUID_TEXT_LEN + 1];
        struct uuid id;
        struct db db;
        int err = db_open(&db, config->database.url);
        int status = 0;

        if (err == 0)
                err = platform_connection_insert(&db, new, &id);
        if (err == ERR_EXISTS)
                status = fail("a connection with this id exists", "leave --id out, or choose another one");
        else if (err == ERR_INVALID) /* the database's own words might quote the credentials */
                status = fail("the credentials are no JSON that PostgreSQL can store", NULL);
        else if (err)
                status = fail_db(&db);
        db_close(&db);
        if (status == 0) {
                uuid_format(&id, text);
                puts(text);
        }
        return status;
}

int command_connection_create(const struct config *config, const char *platform, const char *id)
{
        struct platform_connection_new new = {0};
        struct buf input = {0};
        struct uuid uuid;
        int status;

        if (!platform_parse(slice_str(platform), &new.platform)) {
                fail("PLATFORM must be META, GOOGLE_ADS or TIKTOK; see boris-ingestd --help", NULL);
                return 2;
        }
        if (id && !uuid_parse(slice_str(id), &uuid)) {
                fail("--id must be a UUID; see boris-ingestd --help", NULL);
                return 2;
        }
        new.id = id ? &uuid : NULL;
        if (!read_input(&input)) {
                status = fail("the credentials on standard input cannot be read, or are longer than 1 MiB", NULL);
        } else if (!is_json_object(&input)) {
                status = fail("the credentials on standard input must be a JSON object", NULL);
        } else {
                new.credentials = (struct slice){input.data, input.len};
                status = insert_connection(config, &new);
        }
        if (input.data)
                explicit_bzero(input.data, input.cap);
        buf_deinit(&input);
        return status;
}

int command_connection_list(const struct config *config)
{
        struct platform_connection_summary *list = NULL;
        struct db db;
        size_t len = 0;
        int err = db_open(&db, config->database.url);
        int status = 0;

        if (err == 0)
                err = platform_connection_list(&db, &list, &len);
        if (err)
                status = fail_db(&db);
        for (size_t i = 0; i < len; i++) {
                char id[UUID_TEXT_LEN + 1];
                char created[RFC3339_TEXT_BYTES];

                uuid_format(&list[i].id, id);
                rfc3339_format(list[i].created_at, created);
                printf("%s %-10s created %s, %lld ad accounts\n", id, platform_name(list[i].platform), created,
                       (long long)list[i].accounts);
        }
        free(list);
        db_close(&db);
        return status;
}
