#ifndef MODEL_MIGRATION_H
#define MODEL_MIGRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/embedded.h"
#include "model/db.h"

/* The files of migrations/, in the order of their names. The first one makes the tables that Drizzle makes; see
 * migration_apply. */
extern const struct embedded_file migration_files[];
extern const size_t migration_files_len;

enum migration_state {
        MIGRATION_PENDING,
        MIGRATION_APPLIED,
        MIGRATION_CHANGED, /* applied, but the file was another one then */
        MIGRATION_UNKNOWN, /* applied by a newer version: this one has no such file */
};

struct migration {
        char *name;
        const char *sql; /* borrowed; NULL where unknown */
        enum migration_state state;
        int64_t applied_at; /* microseconds since the Unix epoch; 0 where pending */
};

/* The files in their order, then those that are unknown. */
struct migration_list {
        struct migration *items;
        size_t len;
};

/* Reads what was applied, without changing anything. 0 or a code of enum err, with the reason in @db; on
 * success *ret is to be freed with migration_list_deinit. */
int migration_list_read(struct db *db, struct migration_list *ret);

void migration_list_deinit(struct migration_list *list);

/* Told of each migration once it is committed; @what is "applied", "adopted", .... */
typedef void migration_report_cb(void *ctx, const char *name, const char *what);

/* Applies what is pending, each file in a transaction of its own, together with its line in the ledger, the
 * table boris_ingestd_migrations. Of several runs at once one works and the others wait. Tables that Drizzle
 * made already are adopted: compared with what the first file would make, constraints and indexes that are
 * missing added; a difference of any other kind is refused with ERR_SCHEMA. With all files applied the database
 * is compared and repaired (repair.h); what is left is ERR_SCHEMA. 0 or a code of enum err; the
 * reason in @db says what to do. The session's settings are changed, so @db should be closed afterwards. */
int migration_apply(struct db *db, migration_report_cb *report, void *ctx);

#endif
