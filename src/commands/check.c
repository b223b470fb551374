#include "commands/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/visible.h"
#include "commands/command.h"
#include "commands/secrets.h"
#include "commands/table.h"
#include "model/catalogue.h"
#include "model/connect_fault.h"
#include "model/connection_label.h"
#include "model/fits.h"
#include "model/inspect.h"
#include "model/migration.h"
#include "model/own_table.h"
#include "model/pooler.h"
#include "model/report.h"
#include "server/access.h"
#include "server/clients.h"
#include "server/listener.h"
#include "server/tls.h"

enum { RESULT_BYTES = 4096 };

struct check {
        struct table table; /* of the results, for programs */
        bool json;
        struct db db;
        bool missing; /* tables are missing */
        unsigned done;
        unsigned wrong;
};

/* Prints the result of one check; returns @ok. */
static bool report(struct check *c, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static bool report(struct check *c, bool ok, const char *fmt, ...)
{
        va_list args;

        c->done++;
        c->wrong += !ok;
        va_start(args, fmt);
        if (c->json) {
                char text[RESULT_BYTES];

                vsnprintf(text, sizeof(text), fmt, args);
                table_add(&c->table, (const char *[]){ok ? "ok" : "wrong", text});
        } else {
                fputs(ok ? "ok     " : "wrong  ", stdout);
                visible_vprint_line(stdout, fmt, args);
        }
        va_end(args);
        return ok;
}

static bool report_error(struct check *c, const char *what)
{
        return report(c, false, "%s: %s: %s", what, c->db.error, command_advice(&c->db));
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
        if (c->db.pooled)
                report(c, false, "%s", POOLER_MOVES);
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
                report(c, false, "encoding: %s: create a database with ENCODING 'UTF8' TEMPLATE template0",
                       facts->encoding);
        check_timescaledb(c, facts);
        return true;
}

static bool check_limit(struct check *c, int64_t limit, const struct config *config, const char *whose,
                        const char *remedy)
{
        unsigned needed = config_database_connections(config);
        unsigned least = 3 * config->daemon.workers + 1;

        return limit < 0 || limit >= needed ||
               report(c, false,
                      "connections: the daemon uses %u, %s allows %" PRId64
                      ": fewer writers run, and below %u some lines cannot be stored: %s, or lower database.writers",
                      needed, whose, limit, least, remedy);
}

static void check_connections(struct check *c, const struct config *config)
{
        struct connection_limits limits;

        if (inspect_connections(&c->db, &limits) != 0)
                report_error(c, "connections");
        else if (check_limit(c, limits.role, config, "the role", "raise the role's CONNECTION LIMIT") &&
                 check_limit(c, limits.database, config, "the database",
                             "raise the database's CONNECTION LIMIT") &&
                 check_limit(c, limits.server, config, "the server", "raise max_connections"))
                report(c, true, "connections: the daemon uses up to %u", config_database_connections(config));
}

static void check_own_tables(struct check *c)
{
        for (size_t i = 0; i < own_tables_len; i++) {
                bool exists;

                if (own_table_exists(&c->db, &own_tables[i], &exists) != 0)
                        report_error(c, own_tables[i].name);
                else if (!exists)
                        report(c, false, "table %s is missing: run boris-ingestd migrate",
                               own_tables[i].name);
        }
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
        if (ok) {
                report(c, true, "migrations: all %zu applied", list.len);
                check_own_tables(c);
        }
        migration_list_deinit(&list);
}

/* Then each of their columns and indexes is missing, too. */
static bool lacks_tables(const struct catalogue_diff *diff)
{
        for (size_t i = 0; i < diff->additions_len; i++) {
                if (strncmp(diff->additions[i].name, "table ", 6) == 0)
                        return true;
        }
        return false;
}

/* Compares the tables with the first migration's, which are created in a transaction and rolled back. */
static void check_catalogue(struct check *c)
{
        struct catalogue_diff diff;

        if (db_run(&c->db, "BEGIN") != 0 || catalogue_compare(&c->db, migration_files[0].text, &diff) != 0) {
                report_error(c, "tables: cannot be compared with this version's schema");
                (void)db_run(&c->db, "ROLLBACK");
                return;
        }
        (void)db_run(&c->db, "ROLLBACK"); /* the next step reports a lost connection */
        if (lacks_tables(&diff)) {
                report(c, false, "tables are missing: run boris-ingestd migrate");
                catalogue_diff_deinit(&diff);
                return;
        }
        if (diff.refused_len > 0)
                report(c, false, "tables: %zu difference%s: %s: change them back", diff.refused_len,
                       diff.refused_len == 1 ? "" : "s", diff.refused);
        for (size_t i = 0; i < diff.additions_len; i++)
                report(c, false, "tables: %s is missing: %s", diff.additions[i].name, diff.additions[i].sql);
        if (diff.refused_len == 0 && diff.additions_len == 0)
                report(c, true, "tables: match this version's schema");
        catalogue_diff_deinit(&diff);
}

/* check_fits reports a missing hypertable. */
static void check_hypertable(struct check *c)
{
        struct hypertable_facts facts;

        if (inspect_hypertable(&c->db, &facts) != 0)
                report_error(c, "hypertable");
        else if (facts.exists && !facts.fits)
                report(c, false,
                       "hypertable: by %s in chunks of %s instead of collected_at, 7 days: "
                       "set_chunk_time_interval can change the length",
                       facts.column, facts.interval);
        else if (facts.exists)
                report(c, true, "hypertable: spending by collected_at, in chunks of 1 week");
}

/* Accounts with unknown time zones, in whose days reports would be wrong. */
static void check_time_zones(struct check *c)
{
        struct pg_result *res;

        if (report_unknown_zones(&c->db, NULL, &res) != 0) {
                report_error(c, "time zones");
                return;
        }
        for (int row = 0; row < db_rows(res); row++) {
                char account[256];
                char zone[256];

                report(c, false,
                       "time zones: %s ad account %s: unknown time zone \"%s\": send it with an IANA name",
                       db_text(res, row, 0).ptr,
                       visible_copy(db_text(res, row, 1).ptr, account, sizeof(account)),
                       visible_copy(db_text(res, row, 2).ptr, zone, sizeof(zone)));
        }
        if (db_rows(res) == 0)
                report(c, true, "time zones: all known");
        db_result_free(res);
}

static void on_difference(void *ctx, enum fits_subject subject, const char *difference, const char *remedy)
{
        struct check *c = ctx;

        c->missing |= subject == FITS_MISSING;
        if (subject != FITS_SERVER) /* check_server reports that */
                report(c, false, "%s: %s", difference, remedy);
}

static void check_fits(struct check *c)
{
        unsigned wrong = c->wrong;

        if (fits_compare(&c->db, on_difference, c) != 0)
                report_error(c, "tables: cannot be examined");
        else if (c->wrong == wrong)
                report(c, true, "the daemon can write: session, tables and privileges are as required");
}

static void check_schema(struct check *c, const struct server_facts *server)
{
        if (server->timescaledb[0])
                check_fits(c);
        if (!c->missing && !server->standby && !server->read_only)
                check_catalogue(c);
        if (server->timescaledb[0])
                check_hypertable(c);
        if (report_functions_exist(&c->db))
                check_time_zones(c);
}

/* --- credentials --- */

/* check_key_file has reported keys that cannot be read. */
static void load_keys(const struct config *config, struct jwk_set *ret)
{
        char error[JWK_ERROR_BYTES];

        *ret = (struct jwk_set){0};
        if (config->credentials.key_file[0] && jwk_set_load(ret, config->credentials.key_file, error) != 0)
                jwk_set_deinit(ret);
}

static void report_row(struct check *c, const struct config *config, enum secrets_keeping keeping,
                       const char *connection, const char *kid)
{
        const char *mood = config->credentials.require ? "" : "warning: ";

        if (keeping == SECRETS_PLAIN)
                report(c, !config->credentials.require,
                       "%scredentials: those of platform connection %s are plain: run boris-ingestd connection reencrypt",
                       mood, connection);
        else if (keeping == SECRETS_OLD)
                report(c, true,
                       "warning: credentials: those of platform connection %s are encrypted with the old key %s: run "
                       "boris-ingestd connection reencrypt",
                       connection, kid);
        else if (keeping == SECRETS_FOREIGN)
                report(c, false,
                       "credentials: those of platform connection %s are encrypted with key %s, which credentials.key_file lacks",
                       connection, kid[0] ? kid : "without a kid");
}

/* Reports rows that are not encrypted with the current key; checked only if keys are set or required. */
static void check_credentials(struct check *c, const struct config *config)
{
        struct platform_connection_keepings all;
        struct connection_labels labels = {0};
        struct jwk_set keys;
        size_t good = 0;

        if (!config->credentials.key_file[0] && !config->credentials.require)
                return;
        load_keys(config, &keys);
        if (platform_connection_keepings(&c->db, &all) != 0 || connection_labels_read(&c->db, &labels) != 0)
                report_error(c, "credentials");
        else if (!all.permitted)
                report(c, true, "credentials: not checked: this role may not read them");
        for (size_t i = 0; i < all.len; i++) {
                char connection[UUID_TEXT_LEN + CONNECTION_LABEL_BYTES];
                char kid[JWK_KID_BYTES];
                enum secrets_keeping keeping = secrets_keeping(&keys, &all.rows[i], kid);

                uuid_format(&all.rows[i].id, connection);
                connection_labels_quote(&labels, &all.rows[i].id, connection + UUID_TEXT_LEN);
                report_row(c, config, keeping, connection, kid);
                good += keeping == SECRETS_CURRENT;
        }
        if (all.permitted && good == all.len)
                report(c, true,
                       "credentials: all of %zu platform connections are encrypted with the current key",
                       good);
        platform_connection_keepings_deinit(&all);
        connection_labels_deinit(&labels);
        jwk_set_deinit(&keys);
}

/* --- what the configuration names --- */

static void check_tcp(struct check *c, const struct config *config)
{
        char error[LISTENER_ERROR_BYTES];

        if (config->listen.tcp[0] &&
            listener_check_tcp(config->listen.tcp, config->listen.tls_cert[0], error) != 0)
                report(c, false, "configuration: %s", error);
}

/* A reload does not change the credentials that systemd gave to the daemon when it started. */
static bool has_absent_credential(const struct config *config)
{
        return config_credential_absent(config->listen.tls_cert) ||
               config_credential_absent(config->listen.tls_key) ||
               config_credential_absent(config->listen.tls_client_ca);
}

static void check_tls(struct check *c, const struct config *config)
{
        struct tls_server tls = {0};
        char error[TLS_ERROR_BYTES];

        if (has_absent_credential(config))
                report(c, true,
                       "certificates: not checked: systemd gives these credentials to the daemon only");
        else if (config->listen.tls_cert[0] &&
                 tls_server_load(&tls,
                                 &(struct tls_files){config->listen.tls_cert, config->listen.tls_key,
                                                     config->listen.tls_client_ca,
                                                     config->listen.tls_client_crl},
                                 error) != 0)
                report(c, false, "configuration: %s", error);
        tls_server_deinit(&tls);
}

static void check_access(struct check *c, const struct config *config)
{
        struct access access;
        char error[ACCESS_ERROR_BYTES];

        if (access_init(&access, config->listen.allow_users, config->listen.allow_groups, error) != 0)
                report(c, false, "configuration: %s", error);
        access_deinit(&access);
}

/* A section that no client can match is only a warning: several machines may share one configuration. */
static void check_clients(struct check *c, const struct config *config)
{
        char error[CONFIG_ERROR_BYTES];
        struct clients clients;
        int err = clients_read(&clients, config, error);

        if (err)
                report(c, false, "configuration: %s", error);
        for (size_t i = 0; i < clients.len && !err; i++) {
                const char *why = clients_unmatched(&clients, i, config);

                if (why)
                        report(c, true, "warning: no client can match [client %s]: %s",
                               clients.items[i]->name, why);
        }
        clients_deinit(&clients);
}

static void check_password_file(struct check *c, const struct config *config)
{
        char why[CONFIG_ERROR_BYTES];

        if (config_check_password_file(config, why))
                report(c, true, "warning: %s", why);
}

/* Only its owner may change it, and only owner and group may read it. Before a reload systemd runs this check as the
 * daemon's user, who need not be able to read the file. */
static void check_key_file(struct check *c, const struct config *config)
{
        const char *path = config->credentials.key_file;
        char error[JWK_ERROR_BYTES];
        struct jwk_set keys = {0};
        struct stat st;

        if (!path[0] && config->credentials.require)
                report(c, false,
                       "configuration: credentials.require is on, but credentials.key_file is empty");
        if (!path[0])
                return;
        if (strncmp(path, "credential:", 11) == 0)
                report(c, true,
                       "credentials.key_file: not checked: systemd gives this credential to the daemon only");
        else if (access(path, R_OK) != 0 && errno == EACCES)
                report(c, true,
                       "credentials.key_file: not checked: this user may not read it, and the daemon does not need it");
        else if (jwk_set_load(&keys, path, error) != 0)
                report(c, false, "configuration: %s", error);
        else if (stat(path, &st) == 0 && (st.st_mode & 0027) != 0)
                report(c, true,
                       "warning: credentials.key_file %s: its mode %04o lets others read or change it (chmod 600, or 640)",
                       path, (unsigned)st.st_mode & 07777);
        jwk_set_deinit(&keys);
}

static void check_url(struct check *c, const struct config *config)
{
        if (!db_url_valid(config->database.url))
                report(c, false, "configuration: %s", DB_BAD_URL);
}

static void check_http(struct check *c, const struct config *config)
{
        struct addrinfo *found;
        const char *why;

        if (!config->http.listen[0])
                return;
        if (address_resolve(config->http.listen, &found, &why) != 0)
                report(c, false, "configuration: http.listen %s: %s", config->http.listen, why);
        else
                freeaddrinfo(found);
}

/* A path that the daemon creates if missing must be of the right kind if it exists, and its directory must
 * exist. */
static void check_path(struct check *c, const char *setting, const char *path, bool folder)
{
        char copy[PATH_MAX];
        struct stat st;

        if (!path[0])
                return;
        snprintf(copy, sizeof(copy), "%s", path);
        if (stat(path, &st) == 0 && folder != (S_ISDIR(st.st_mode) != 0))
                report(c, false, "configuration: %s %s: is %s directory", setting, path,
                       folder ? "not a" : "a");
        else if (stat(path, &st) != 0 && stat(dirname(copy), &st) != 0)
                report(c, false, "configuration: %s %s: %s: create the directory %s", setting, path,
                       strerror(errno), copy);
}

/* Checks that need neither the database nor the daemon's user. systemd may create the Unix socket's
 * directory. */
static void check_configuration(struct check *c, const struct config *config)
{
        check_url(c, config);
        check_tcp(c, config);
        check_tls(c, config);
        check_access(c, config);
        check_clients(c, config);
        check_password_file(c, config);
        check_key_file(c, config);
        check_http(c, config);
        check_path(c, "rejects.file", config->rejects.file, false);
        check_path(c, "spool.dir", config->spool.dir, true);
        if (c->wrong == 0)
                report(c, true, "configuration");
}

static void check_database(struct check *c, const struct config *config)
{
        struct server_facts server;

        if (db_open(&c->db, config->database.url) != 0) {
                if (db_url_valid(config->database.url)) /* else check_url has reported it */
                        report(c, false, "database: %s (%s)", c->db.error,
                               connect_advice_for(c->db.error, config->database.url));
        } else if (check_server(c, &server)) {
                check_connections(c, config);
                check_migrations(c);
                check_schema(c, &server);
                if (!c->missing)
                        check_credentials(c, config);
        }
        db_close(&c->db);
}

int command_check(const struct config *config, bool config_only, const char *format_text)
{
        static const struct table_column columns[] = {{"result", TABLE_KEEP, false},
                                                      {"what", TABLE_KEEP, false}};
        struct check c = {.table = {.columns = columns, .columns_len = 2}};
        enum table_format format;
        int status = command_read_format(format_text, false, &format);

        if (status != DONE)
                return status;
        c.json = format == TABLE_JSON;
        if (config->credentials.key_file[0])
                secrets_hide();
        check_configuration(&c, config);
        if (!config_only)
                check_database(&c, config);
        if (c.json)
                table_print(&c.table, stdout, format, NULL);
        table_deinit(&c.table);
        if (c.wrong > 0)
                return command_fail(FAILED, "%u of %u checks failed (see above)", c.wrong, c.done);
        return DONE;
}
