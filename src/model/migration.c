/* A run: settings; the lock; the ledger (created if missing, compared with the compiled-in files); then for
 * each pending file BEGIN, the file, its row in the ledger, COMMIT. The first file's tables may already
 * exist, created by Drizzle, and are then adopted. A failure rolls its file back and ends the run with a
 * text that names the file, the cause and what to do. */
#include "model/migration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/memory.h"
#include "model/catalogue.h"
#include "model/pooler.h"
#include "model/repair.h"

enum { CHECKSUM_TEXT_BYTES = 2 * sizeof(XXH128_hash_t) + 1 };

/* The files' statements do not qualify names (only function bodies do), so the search path decides: the tables
 * belong to public, as with Drizzle; TimescaleDB's functions may be in any schema. Copying rows to chunks takes
 * long, so timeouts are off. */
static const char settings_sql[] =
        "SELECT set_config('search_path', concat_ws(', ', 'public', (SELECT quote_ident(n.nspname) "
        "FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'timescaledb' AND n.nspname <> 'public')), false), "
        "set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false), "
        "set_config('idle_in_transaction_session_timeout', '0', false)";

/* One lock per database; "boris-mg" in ASCII. */
static const char lock_sql[] = "SELECT pg_advisory_lock(7093013735361310055)";
static const char unlock_sql[] = "SELECT pg_advisory_unlock(7093013735361310055)";

/* IF NOT EXISTS would require the privilege to create even if the table exists. */
static const char ledger_exists_sql[] = "SELECT to_regclass('public.boris_ingestd_migrations') IS NOT NULL";
static const char ledger_create_sql[] = "CREATE TABLE public.boris_ingestd_migrations ("
                                        "name text PRIMARY KEY, "
                                        "checksum text NOT NULL, " /* XXH3, 128 bits, in hexadecimal */
                                        "applied_at timestamptz NOT NULL DEFAULT now())";
static const char ledger_read_sql[] =
        "SELECT name, checksum, applied_at FROM public.boris_ingestd_migrations "
        "ORDER BY name COLLATE \"C\"";
static const char ledger_add_sql[] =
        "INSERT INTO public.boris_ingestd_migrations (name, checksum) VALUES ($1, $2)";

/* --- what to do about an error --- */

#define INSTALL_ADVICE                                                                                       \
        "install TimescaleDB on the database server (Debian 13: postgresql-17-timescaledb), preload it, "    \
        "restart PostgreSQL"

/* The first match is reported. */
static const struct {
        const char *sqlstate; /* or its class (first two characters); NULL: any; "": no SQLSTATE */
        const char *text;     /* part of the message; NULL: any */
        const char *advice;
} advices[] = {
        {"42501", "extension",
         "have a superuser run \"CREATE EXTENSION timescaledb\" in this database, then migrate again"},
        {"42501", NULL, "run migrate as the owner of the database and its tables"},
        {"25006", NULL, "let database.url point to the primary server"},
        {NULL, "must be preloaded",
         "set shared_preload_libraries = 'timescaledb' in postgresql.conf and restart PostgreSQL"},
        {NULL, "extension \"timescaledb\" is not available", INSTALL_ADVICE},
        {NULL, "timescaledb.control", INSTALL_ADVICE}, /* PostgreSQL 15 and older */
        {"42883", NULL,
         "TimescaleDB 2.13 or later is needed: update it, then ALTER EXTENSION timescaledb UPDATE"},
        {"40", NULL, "run migrate again"},
        {"", NULL, "check the database server, then run migrate again"},
};

static const char *advice_for(const struct db *db)
{
        for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
                const char *sqlstate = advices[i].sqlstate;
                const char *text = advices[i].text;
                bool same = !sqlstate || (sqlstate[0] ? strncmp(db->sqlstate, sqlstate, strlen(sqlstate)) == 0
                                                      : !db->sqlstate[0]);

                if (same && (!text || strstr(db->error, text)))
                        return advices[i].advice;
        }
        return "remove the cause, then run migrate again";
}

/* Completes the error text with cause and advice. */
static int explain(struct db *db, int err, const char *name)
{
        const char *advice =
                err == ERR_SCHEMA ? "change the tables, or use an empty database" : advice_for(db);

        return db_fail(db, err, "%s: %s: %s", name, db->error, advice);
}

/* --- the ledger --- */

static void checksum(const char *sql, char ret_text[CHECKSUM_TEXT_BYTES])
{
        XXH128_hash_t hash = XXH3_128bits(sql, strlen(sql));

        snprintf(ret_text, CHECKSUM_TEXT_BYTES, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
}

/* Index of the file @name; migration_files_len if there is none. */
static size_t find(struct slice name)
{
        size_t i = 0;

        while (i < migration_files_len && !slice_eq(slice_str(migration_files[i].name), name))
                i++;
        return i;
}

static void list_init(struct migration_list *list, size_t applied)
{
        list->items = must_calloc(migration_files_len + applied + 1, sizeof(*list->items));
        for (list->len = 0; list->len < migration_files_len; list->len++) {
                struct migration *m = &list->items[list->len];

                m->sql = migration_files[list->len].text;
                m->name = must_strdup(migration_files[list->len].name);
        }
}

static void list_applied(struct migration_list *list, const struct pg_result *res, int row)
{
        size_t file = find(db_text(res, row, 0));
        struct migration *m = &list->items[file < migration_files_len ? file : list->len];
        char expected[CHECKSUM_TEXT_BYTES];

        if (file == migration_files_len) {
                m->name = db_text_dup(res, row, 0);
                m->state = MIGRATION_UNKNOWN;
                list->len++;
        } else {
                checksum(migration_files[file].text, expected);
                m->state = slice_eq(slice_str(expected), db_text(res, row, 1)) ? MIGRATION_APPLIED
                                                                               : MIGRATION_CHANGED;
        }
        m->applied_at = db_time(res, row, 2);
}

int migration_list_read(struct db *db, struct migration_list *ret)
{
        struct pg_result *res = NULL;
        bool exists = false;
        int err = db_query_bool(db, ledger_exists_sql, NULL, &exists);
        int len;

        if (!err && exists)
                err = db_query(db, ledger_read_sql, NULL, &res);
        if (err)
                return err;
        len = exists ? db_rows(res) : 0;
        list_init(ret, (size_t)len);
        for (int i = 0; i < len; i++)
                list_applied(ret, res, i);
        db_result_free(res);
        return 0;
}

void migration_list_deinit(struct migration_list *list)
{
        for (size_t i = 0; i < list->len; i++)
                free(list->items[i].name);
        free(list->items);
        *list = (struct migration_list){0};
}

static int ledger_add(struct db *db, const struct migration *m)
{
        struct db_params params = {0};
        char text[CHECKSUM_TEXT_BYTES];
        struct pg_result *res;
        int err;

        checksum(m->sql, text);
        db_param_text(&params, slice_str(m->name));
        db_param_text(&params, slice_str(text));
        err = db_query(db, ledger_add_sql, &params, &res);
        if (!err)
                db_result_free(res);
        return err;
}

static int ledger_open(struct db *db)
{
        bool exists;
        int err = db_query_bool(db, ledger_exists_sql, NULL, &exists);

        if (!err && !exists)
                err = db_run(db, ledger_create_sql);
        return err ? explain(db, err, "the ledger boris_ingestd_migrations") : 0;
}

/* Applied migrations must equal the compiled-in files. */
static int ledger_check(struct db *db, const struct migration_list *list)
{
        for (size_t i = 0; i < list->len; i++) {
                const struct migration *m = &list->items[i];

                if (m->state == MIGRATION_CHANGED)
                        return db_fail(
                                db, ERR_SCHEMA,
                                "%s was changed after it was applied: use the version of boris-ingestd that "
                                "applied it, and make changes in a new file",
                                m->name);
                if (m->state == MIGRATION_UNKNOWN)
                        return db_fail(db, ERR_SCHEMA,
                                       "%s was applied by a newer version of boris-ingestd: use that version",
                                       m->name);
        }
        return 0;
}

/* --- applying --- */

/* Adds what @diff found missing; appends the names to @what. */
static int add_missing(struct db *db, const struct catalogue_diff *diff, struct buf *what)
{
        for (size_t i = 0; i < diff->additions_len; i++) {
                const struct catalogue_addition *a = &diff->additions[i];
                const char *link = i == 0 ? ", added " : ", ";
                int err = db_run(db, a->sql);

                if (err)
                        return db_fail(db, err, "%s is missing and cannot be added: %s", a->name, db->error);
                buf_put(what, link, strlen(link));
                buf_put(what, a->name, strlen(a->name));
        }
        return 0;
}

/* Creates the tables, or adopts existing ones. */
static int apply_first(struct db *db, const struct migration *m, struct buf *what)
{
        struct catalogue_diff diff;
        int err = catalogue_compare(db, m->sql, &diff);

        if (err)
                return err;
        if (diff.empty) {
                err = db_run(db, m->sql);
                buf_put(what, "applied", 7);
        } else if (diff.refused_len > 0) {
                db->sqlstate[0] = '\0';
                err = db_fail(db, ERR_SCHEMA,
                              "the existing tables differ from this version's schema: %zu difference%s: %s",
                              diff.refused_len, diff.refused_len == 1 ? "" : "s", diff.refused);
        } else {
                buf_put(what, "adopted: its tables exist already", 33);
                err = add_missing(db, &diff, what);
        }
        catalogue_diff_deinit(&diff);
        return err;
}

static int apply_in_transaction(struct db *db, const struct migration *m, struct buf *what)
{
        int err = db_run(db, "BEGIN");

        if (!err && m->sql == migration_files[0].text) {
                err = apply_first(db, m, what);
        } else if (!err) {
                buf_put(what, "applied", 7);
                err = db_run(db, m->sql);
        }
        if (!err)
                err = ledger_add(db, m);
        if (!err)
                err = db_run(db, "COMMIT");
        return err;
}

/* A failed rollback means a lost connection, and then the server rolls back; the first error is reported. */
static void roll_back(struct db *db)
{
        struct db failed = *db;

        (void)db_run(db, "ROLLBACK");
        *db = failed;
}

static int apply(struct db *db, const struct migration *m, migration_report_cb *report, void *ctx)
{
        struct buf what = {0};
        int err = apply_in_transaction(db, m, &what);

        if (!err) {
                buf_put(&what, "", 1);
                report(ctx, m->name, what.data);
        } else {
                roll_back(db);
                err = explain(db, err, m->name);
        }
        buf_deinit(&what);
        return err;
}

static int apply_pending(struct db *db, migration_report_cb *report, void *ctx)
{
        struct migration_list list;
        int err = migration_list_read(db, &list);

        if (err)
                return explain(db, err, "the ledger boris_ingestd_migrations");
        err = ledger_check(db, &list);
        for (size_t i = 0; !err && i < list.len; i++) {
                if (list.items[i].state == MIGRATION_PENDING)
                        err = apply(db, &list.items[i], report, ctx);
        }
        migration_list_deinit(&list);
        return err;
}

static int read_nothing(struct db *db, const char *sql)
{
        struct pg_result *res;
        int err = db_query(db, sql, NULL, &res);

        if (!err)
                db_result_free(res);
        return err;
}

/* Refuses databases to which the migrations cannot be applied. */
static int check_database(struct db *db)
{
        struct pg_result *res;
        int err;

        if (db->pooled)
                return db_fail(db, ERR_SCHEMA, "%s", POOLER_MOVES);
        err = db_query_row(db, "SELECT getdatabaseencoding()", NULL, &res);
        if (err)
                return explain(db, err, "the database's encoding");
        if (!slice_eq(db_text(res, 0, 0), SLICE_LIT("UTF8")))
                err = db_fail(
                        db, ERR_SCHEMA,
                        "the database's encoding is %s, not UTF8: create a database with ENCODING 'UTF8' "
                        "TEMPLATE template0",
                        db_text(res, 0, 0).ptr);
        db_result_free(res);
        return err;
}

/* All migrations are applied; repairs differences from what they created. */
static int repair(struct db *db, migration_report_cb *report, void *ctx)
{
        unsigned left;
        int err = repair_run(db, report, ctx, &left);

        if (err) {
                roll_back(db);
                return explain(db, err, "the comparison with what the migrations made");
        }
        if (left > 0)
                return db_fail(
                        db, ERR_SCHEMA,
                        "the tables differ from this version's schema (see the lines with \"left\" above)");
        return 0;
}

int migration_apply(struct db *db, migration_report_cb *report, void *ctx)
{
        int err = check_database(db);

        if (err)
                return err;
        err = read_nothing(db, settings_sql);
        if (!err)
                err = read_nothing(db, lock_sql);
        if (err)
                return explain(db, err, "the lock of migrations");
        err = ledger_open(db);
        if (!err)
                err = apply_pending(db, report, ctx);
        if (!err)
                err = repair(db, report, ctx);
        if (!err)
                err = read_nothing(db, unlock_sql); /* after an error, the end of the session unlocks */
        return err;
}
