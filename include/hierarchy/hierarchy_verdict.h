#ifndef HIERARCHY_VERDICT_H
#define HIERARCHY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hierarchy/hierarchy_batch.h"
#include "wire/reject.h"

/* Decides which hierarchy records are valid, given what the database contains, and describes the invalid
 * ones. */

/* What the database contains for an object to be written; see ad_object_resolve_sql. */
struct hierarchy_answer {
        int64_t accounts; /* number of matching accounts; all else is unset unless this is 1 */
        struct uuid account_id;
        struct hierarchy_known object;
        bool differs;                  /* from the record, not counting the parent */
        int64_t children;              /* 0 if its type stays */
        struct uuid old_parent_id;     /* all zeros: none */
        struct hierarchy_known parent; /* unset if hierarchy_asks_for_parent is false */
};

/* True if the database must be asked for the parent of object row @row: no row of [@start, @row) is this parent, or names it. */
bool hierarchy_asks_for_parent(const struct hierarchy_batch *b, size_t start, size_t row);

/* Sets the verdict of object row @row and the values to be written. Rows [@start, @row) are in the same
 * transaction and must have been judged. @now_ms, since the Unix epoch, goes into a new object's id. */
void hierarchy_judge(struct hierarchy_batch *b, size_t start, size_t row,
                     const struct hierarchy_answer *answer, int64_t now_ms);

/* Describes why the row is rejected; its verdict must not be HIERARCHY_OK. */
void hierarchy_describe(const struct hierarchy_row *row, struct reject *ret);

#endif
