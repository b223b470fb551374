#ifndef OLD_SPOOL_H
#define OLD_SPOOL_H

#include <stdio.h>

#include <sqlite3.h>
#include <xxhash.h>

#include "test.h"

/* Spool files of earlier formats. */

enum { OLD = 50 }; /* lines in them */

/* What the versions with format 1 and 2 made. */
static const char tables_1[] =
        "PRAGMA journal_mode = WAL; CREATE TABLE lines (id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, "
        "hash INTEGER NOT NULL, peer TEXT NOT NULL, connection INTEGER NOT NULL, line INTEGER NOT NULL, text BLOB NOT NULL); "
        "CREATE TABLE damaged (id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, hash INTEGER NOT NULL, "
        "peer TEXT NOT NULL, connection INTEGER NOT NULL, line INTEGER NOT NULL, text BLOB NOT NULL); "
        "PRAGMA user_version = 1;";
static const char tables_2[] = "ALTER TABLE lines ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0; "
                               "ALTER TABLE lines ADD COLUMN client TEXT NOT NULL DEFAULT ''; "
                               "ALTER TABLE damaged ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0; "
                               "ALTER TABLE damaged ADD COLUMN client TEXT NOT NULL DEFAULT ''; "
                               "CREATE TABLE account (file INTEGER NOT NULL, erased INTEGER NOT NULL); "
                               "INSERT INTO account VALUES (77, 0); PRAGMA user_version = 2;";

static void execute(sqlite3 *db, const char *sql)
{
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* @format: 1 or 2. */
static inline void make_old_file(const char *dir, int format)
{
        char text[1000];
        sqlite3 *db;

        snprintf(text, sizeof(text), "%s/spool.db", dir);
        assert_int_equal(sqlite3_open(text, &db), SQLITE_OK);
        execute(db, tables_1);
        if (format == 2)
                execute(db, tables_2);
        for (int i = 1; i <= OLD; i++) {
                char line[512] = {0};
                int len = snprintf(line, sizeof(line), "line %d", i);
                uint64_t seed = (uint64_t)i * 10 ^ (format == 2 ? 5 : 0);

                snprintf(
                        text, sizeof(text),
                        "INSERT INTO lines (received, hash, peer, connection, line, text%s) VALUES (%d, %lld, 'uid 1', 1, %d, "
                        "CAST('%s' AS BLOB)%s)",
                        format == 2 ? ", receipt, client" : "", i * 10,
                        (long long)XXH3_64bits_withSeed(line, (size_t)len, seed), i, line,
                        format == 2 ? ", 5, 'meta'" : "");
                execute(db, text);
        }
        sqlite3_close(db);
}

#endif
