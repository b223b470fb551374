#ifndef MODEL_CATALOGUE_H
#define MODEL_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/db.h"

/* Compares the tables of a database with those that a script creates. */

enum { CATALOGUE_REFUSED_BYTES = 400 };

/* A missing constraint or index that can be added. */
struct catalogue_addition {
        char *name; /* "constraint ad_objects.ad_objects_account_external" */
        char *sql;
};

struct catalogue_diff {
        bool empty;         /* none of the script's tables and types exists */
        size_t refused_len; /* number of differences that cannot be repaired by adding something */
        char refused[CATALOGUE_REFUSED_BYTES]; /* the first few of them, as text */
        struct catalogue_addition *additions;
        size_t additions_len;
};

/* Compares tables, columns, types, defaults, constraints and indexes of schema public with those that
 * @script creates. The script runs in the session's temporary schema, so it must not qualify names.
 * Additional things count as a difference only if they can refuse rows that the script's tables accept:
 * mandatory columns, unique constraints. Either key of spending is accepted. Call it in a transaction; the
 * transaction stays usable unless an error aborts it. Returns 0 or a code of enum err, with the reason in
 * @db; on success the caller frees *ret with catalogue_diff_deinit. */
int catalogue_compare(struct db *db, const char *script, struct catalogue_diff *ret);

void catalogue_diff_deinit(struct catalogue_diff *diff);

#endif
