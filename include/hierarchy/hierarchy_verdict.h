#ifndef HIERARCHY_VERDICT_H
#define HIERARCHY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hierarchy/hierarchy_batch.h"
#include "wire/reject.h"

/* Which hierarchy records are right, by what the database knows; and the words for those that are not. */

/* What the database has of an object that is to be written; see ad_object_resolve_sql. */
struct hierarchy_answer {
        int64_t accounts; /* that match its account; all else is unset where this is not 1 */
        struct uuid account_id;
        bool has_object; /* it is there */
        struct uuid object_id;
        enum ad_object_type object_type;
        int64_t children;          /* 0 where its type stays */
        struct uuid old_parent_id; /* all zeros: none */
        bool has_parent;           /* the parent that it is to have is there */
        struct uuid parent_id;
        enum ad_object_type parent_type;
};

/* Sets the verdict of object row @row, and what is to be written. Rows [@start, @row) are in the same
 * transaction, and must have been judged. @now_ms, since the Unix epoch, goes into a new object's id. */
void hierarchy_judge(struct hierarchy_batch *b, size_t start, size_t row,
                     const struct hierarchy_answer *answer, int64_t now_ms);

/* Why the row is refused; its verdict is not HIERARCHY_OK. */
void hierarchy_describe(const struct hierarchy_row *row, struct reject *ret);

#endif
