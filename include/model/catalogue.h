#ifndef MODEL_CATALOGUE_H
#define MODEL_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/db.h"

/* What the tables are, compared with what a script makes of them. */

enum { CATALOGUE_REFUSED_BYTES = 400 };

/* Something that is missing and can be added: a constraint or an index. */
struct catalogue_addition {
        char *name; /* "constraint ad_objects.ad_objects_no_self_parent" */
        char *sql;
};

struct catalogue_diff {
        bool empty;                            /* of the script's tables and types none is there */
        size_t refused_len;                    /* differences that nothing should be added to or built upon */
        char refused[CATALOGUE_REFUSED_BYTES]; /* the first few of them, in words */
        struct catalogue_addition *additions;
        size_t additions_len;
};

/* Compares tables, columns, types, defaults, constraints and indexes of schema public with those that @script
 * makes: it is run in the session's schema of temporary objects, so it must not qualify names. What is there
 * beside the expected is no difference unless it can refuse rows that the expected would take: columns that
 * must be given, unique constraints. Either key of spending is as good. To be called in a transaction, which
 * is left as it was unless an error spoils it. 0 or a code of enum err, with the reason in @db; on success
 * *ret is to be freed with catalogue_diff_deinit. */
int catalogue_compare(struct db *db, const char *script, struct catalogue_diff *ret);

void catalogue_diff_deinit(struct catalogue_diff *diff);

#endif
