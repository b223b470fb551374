#ifndef DATABASE_H
#define DATABASE_H

/* A database for one test, on the server of $TEST_DATABASE_URL. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#include "model/db.h"
#include "model/migration.h"

struct database {
        char name[48];
        char url[1024];
        struct db db;
};

#define assert_db_ok(database, expression)                                                                   \
        do {                                                                                                 \
                if ((expression) != 0)                                                                       \
                        fail_msg("%s: %s (%s)", #expression, (database)->db.error, (database)->db.sqlstate); \
        } while (0)

static inline const char *server_url(void)
{
        const char *url = getenv("TEST_DATABASE_URL");

        if (!url)
                fail_msg("TEST_DATABASE_URL is not set: a superuser's database on a server for tests is "
                         "needed (tests/lib/with_database.sh starts one)");
        return url;
}

static inline void run_on_server(const char *sql)
{
        struct db db;

        if (db_open(&db, server_url()) != 0 || db_run(&db, sql) != 0)
                fail_msg("%s: %s", sql, db.error);
        db_close(&db);
}

/* An empty database, and a connection to it. */
static inline void database_make(struct database *d)
{
        static unsigned count;
        const char *url = server_url();
        char sql[128];

        snprintf(d->name, sizeof(d->name), "ingestd_test_%d_%u", (int)getpid(), count++);
        /* If a parameter is given twice, libpq uses the last value. */
        snprintf(d->url, sizeof(d->url), "%s%sdbname=%s", url,
                 !strstr(url, "://") ? " "
                 : strchr(url, '?')  ? "&"
                                     : "?",
                 d->name);
        snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", d->name);
        run_on_server(sql);
        assert_db_ok(d, db_open(&d->db, d->url));
}

static inline void database_drop(struct database *d)
{
        char sql[128];

        db_close(&d->db);
        snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", d->name);
        run_on_server(sql);
}

static inline void report_nothing(void *ctx, const char *name, const char *what)
{
        (void)ctx;
        (void)name;
        (void)what;
}

/* Migrates on a connection of its own, since the session's settings change; the reason of a failure is in
 * d->db. */
static inline int database_migrate(struct database *d)
{
        struct db db;
        int err = db_open(&db, d->url);

        if (!err)
                err = migration_apply(&db, report_nothing, NULL);
        snprintf(d->db.error, sizeof(d->db.error), "%s", err ? db.error : "");
        snprintf(d->db.sqlstate, sizeof(d->db.sqlstate), "%s", err ? db.sqlstate : "");
        db_close(&db);
        return err;
}

/* The text of a query's only value; the caller frees it. */
static inline char *database_text(struct database *d, const char *sql)
{
        struct pg_result *res;
        char *text;

        assert_db_ok(d, db_query_row(&d->db, sql, NULL, &res));
        text = db_text_dup(res, 0, 0);
        db_result_free(res);
        return text;
}

/* A query whose only value is an int8. */
static inline int64_t database_i64(struct database *d, const char *sql)
{
        struct pg_result *res;
        int64_t value;

        assert_db_ok(d, db_query_row(&d->db, sql, NULL, &res));
        value = db_i64(res, 0, 0);
        db_result_free(res);
        return value;
}

#endif
