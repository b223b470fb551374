#ifndef MODEL_MIGRATION_H
#define MODEL_MIGRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/embedded.h"
#include "model/db.h"

/* The files of migrations/, in the order of their names. The first creates the tables that Drizzle, too,
 * creates; see migration_apply. */
extern const struct embedded_file migration_files[];
extern const size_t migration_files_len;

enum migration_state {
        MIGRATION_PENDING,
        MIGRATION_APPLIED,
        MIGRATION_CHANGED, /* applied, but with another content */
        MIGRATION_UNKNOWN, /* applied by a newer version: this version has no such file */
};

struct migration {
        char *name;
        const char *sql; /* borrowed; NULL where unknown */
        enum migration_state state;
        int64_t applied_at; /* microseconds since the Unix epoch; 0 if pending */
};

/* The known files in order, then the unknown ones. */
struct migration_list {
        struct migration *items;
        size_t len;
};

/* Reads which migrations were applied, without changing anything. Returns 0 or a code of enum err, with the
 * reason in @db; on success the caller frees *ret with migration_list_deinit. */
int migration_list_read(struct db *db, struct migration_list *ret);

void migration_list_deinit(struct migration_list *list);

/* Called for each migration once it is committed; @what is "applied", "adopted", .... */
typedef void migration_report_cb(void *ctx, const char *name, const char *what);

/* Applies pending migrations, each file in a transaction of its own together with its row in the ledger, the
 * table boris_ingestd_migrations. Concurrent runs wait for each other. Tables that
 * Drizzle created are adopted: they are compared with those of the first file, and missing constraints and
 * indexes are added; any other difference is refused with ERR_SCHEMA. Once all files are applied, the
 * database is compared and repaired (repair.h); remaining differences are ERR_SCHEMA. Returns 0 or a code of
 * enum err; the reason in @db says what to do. Changes the session's settings: close @db afterwards. */
int migration_apply(struct db *db, migration_report_cb *report, void *ctx);

#endif
