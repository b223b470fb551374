#ifndef MODEL_OWN_TABLE_H
#define MODEL_OWN_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/db.h"

/* Tables of the daemon's own beside the four of Drizzle's schema. Each is all that its migration creates, so that running the
 * migration again adds the table if it is missing. (The ledger boris_ingestd_migrations is created by migration.c.) */
struct own_table {
        const char *name;
        const char *migration; /* the file's name */
};

extern const struct own_table own_tables[];
extern const size_t own_tables_len;

/* Returns 0 or a code of enum err, with the reason in @db. */
int own_table_exists(struct db *db, const struct own_table *table, bool *ret);

#endif
