#include "model/repair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "model/catalogue.h"
#include "model/fits.h"
#include "model/own_table.h"

enum { TEXT_BYTES = 2048 };

struct repair {
        struct db *db;
        migration_report_cb *report;
        void *ctx;
        unsigned left;
};

static void leave(struct repair *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void leave(struct repair *r, const char *fmt, ...)
{
        char text[TEXT_BYTES];
        va_list args;

        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        r->report(r->ctx, "left", text);
        r->left++;
}

/* --- one thing at a time --- */

/* Writes how to find the rows that violate a key. @sql is the key's statement, "ALTER TABLE name ADD
 * CONSTRAINT ... (a, b)". Writes "" if it is not a key's. */
static void advise_search(const char *sql, char *ret, size_t size)
{
        const char *columns = strrchr(sql, '(');
        char table[64];
        int len;

        ret[0] = '\0';
        if (!columns || sscanf(sql, "ALTER TABLE %63s", table) != 1)
                return;
        columns++;
        len = (int)strcspn(columns, ")");
        snprintf(
                ret, size,
                ": find the rows with SELECT %.*s, count(*) FROM public.%s GROUP BY %.*s HAVING count(*) > 1, "
                "and delete or change all but one of each",
                len, columns, table, len, columns);
}

static void leave_failed(struct repair *r, const char *name, const char *sql)
{
        char search[512] = "";

        if (strcmp(r->db->sqlstate, "23505") == 0)
                advise_search(sql, search, sizeof(search));
        leave(r, "%s is missing and cannot be added: %s%s", name, r->db->error,
              search[0] ? search : ": remove the cause, then run boris-ingestd migrate again");
}

/* Runs @sql and rolls it back if it fails. Returns 0, or an error if the connection is broken. */
static int attempt(struct repair *r, const char *name, const char *sql)
{
        char what[TEXT_BYTES];
        int err = db_run(r->db, "SAVEPOINT repair");

        if (err)
                return err;
        if (db_run(r->db, sql) == 0) {
                snprintf(what, sizeof(what), "added %s", name);
                r->report(r->ctx, "repair:", what);
                return db_run(r->db, "RELEASE repair");
        }
        leave_failed(r, name, sql);
        return db_run(r->db, "ROLLBACK TO repair; RELEASE repair");
}

static int repair_catalogue(struct repair *r)
{
        struct catalogue_diff diff;
        int err = catalogue_compare(r->db, migration_files[0].text, &diff);

        if (err)
                return err;
        for (size_t i = 0; !err && i < diff.additions_len; i++)
                err = attempt(r, diff.additions[i].name, diff.additions[i].sql);
        if (diff.refused_len > 0)
                leave(r, "tables: %zu difference%s: %s: change them back", diff.refused_len,
                      diff.refused_len == 1 ? "" : "s", diff.refused);
        catalogue_diff_deinit(&diff);
        return err;
}

static const char has_timescaledb_sql[] =
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')";

static const char is_hypertable_sql[] = "SELECT EXISTS (SELECT FROM _timescaledb_catalog.hypertable "
                                        "WHERE schema_name = 'public' AND table_name = 'spending')";

/* The migration that creates the hypertable replaces this key. */
static const char has_key_sql[] =
        "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass('public.spending') "
        "AND conname = 'spending_pkey')";

static int repair_hypertable(struct repair *r)
{
        bool loaded = false;
        bool done = false;
        bool ready = false;
        int err = db_query_bool(r->db, has_timescaledb_sql, NULL, &loaded);

        if (!err && loaded)
                err = db_query_bool(r->db, is_hypertable_sql, NULL, &done);
        if (!err)
                err = db_query_bool(r->db, has_key_sql, NULL, &ready);
        if (err || done || !ready)
                return err;
        return attempt(r, "hypertable spending", migration_files[1].text);
}

static const char *migration_text(const char *name)
{
        for (size_t i = 0; i < migration_files_len; i++) {
                if (strcmp(migration_files[i].name, name) == 0)
                        return migration_files[i].text;
        }
        abort(); /* own_table.c names a file that does not exist */
}

static int repair_own_tables(struct repair *r)
{
        int err = 0;

        for (size_t i = 0; !err && i < own_tables_len; i++) {
                const struct own_table *t = &own_tables[i];
                char name[128];
                bool exists = true;

                snprintf(name, sizeof(name), "table %s (run config/role.sql again for its privileges)",
                         t->name);
                err = own_table_exists(r->db, t, &exists);
                if (!err && !exists)
                        err = attempt(r, name, migration_text(t->migration));
        }
        return err;
}

/* The role that migrates is seldom the daemon's, so its privileges and settings do not matter. */
static void on_difference(void *ctx, enum fits_subject subject, const char *difference, const char *remedy)
{
        if (subject == FITS_VERSION || subject == FITS_TABLES || subject == FITS_MISSING)
                leave(ctx, "%s: %s", difference, remedy);
}

static int compare(struct repair *r)
{
        bool loaded;
        int err = db_query_bool(r->db, has_timescaledb_sql, NULL, &loaded);

        if (err)
                return err;
        if (loaded)
                return fits_compare(r->db, on_difference, r);
        leave(r, "TimescaleDB is not in this database");
        return 0;
}

static int repair_in_transaction(struct repair *r)
{
        int err = db_run(r->db, "BEGIN");

        if (!err)
                err = repair_catalogue(r);
        if (!err)
                err = repair_hypertable(r);
        if (!err)
                err = repair_own_tables(r);
        if (!err)
                err = compare(r);
        if (!err)
                err = db_run(r->db, "COMMIT");
        return err;
}

int repair_run(struct db *db, migration_report_cb *report, void *ctx, unsigned *ret_left)
{
        struct repair r = {.db = db, .report = report, .ctx = ctx};
        int err = repair_in_transaction(&r);

        *ret_left = r.left;
        return err;
}
