#ifndef HIERARCHY_STATEMENTS_H
#define HIERARCHY_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hierarchy/hierarchy_batch.h"
#include "hierarchy/hierarchy_verdict.h"
#include "pg/pg_conn.h"

/* The statements of a transaction that writes rows of a batch, and their answers. An answer's row is taken for the
 * row that its place and its number say, and for nothing where the two differ. */

enum { HIERARCHY_PARAMS_MAX = 8 };

struct hierarchy_statements {
        struct hierarchy_batch *batch; /* borrowed, as long as a transaction lasts */
        size_t start;                  /* rows [start, end) of it are in the transaction */
        size_t end;
        uint32_t *asked; /* the rows of the statement in flight, in its order */
        size_t asked_len;
        size_t asked_cap;
        uint32_t *numbers; /* of each account of the batch, in the statement in flight; 0: not in it */
        size_t numbers_cap;
        uint32_t accounts; /* that the statement in flight names */
        size_t places;     /* where it looks for them */
        struct buf params[HIERARCHY_PARAMS_MAX];
};

/* What an answer says of the rows. */
enum hierarchy_reply {
        HIERARCHY_REPLY_GOOD,
        HIERARCHY_REPLY_SKIPPED, /* a row was not written */
        HIERARCHY_REPLY_CHANGED, /* a row was written otherwise than it was given, or read otherwise than it can be */
};

void hierarchy_statements_deinit(struct hierarchy_statements *s);

/* From now on statements are of the first part of @b. */
void hierarchy_statements_begin(struct hierarchy_statements *s, struct hierarchy_batch *b);

/* Opens the transaction and waits for others that write objects of the same accounts. */
void hierarchy_send_begin(const struct hierarchy_statements *s, struct pg_conn *conn);

/* Each sends the statement of its name, and returns false where no row needs it: upsert accounts; ask what the
 * database knows of objects, their accounts and parents; upsert the objects that are right. */
bool hierarchy_send_accounts(struct hierarchy_statements *s, struct pg_conn *conn);
bool hierarchy_send_resolve(struct hierarchy_statements *s, struct pg_conn *conn);
bool hierarchy_send_objects(struct hierarchy_statements *s, struct pg_conn *conn);

/* Each reads the answer into the rows. *ret_new_accounts is set where an account may be new. The second one judges
 * the objects. */
enum hierarchy_reply hierarchy_read_accounts(struct hierarchy_statements *s, const struct pg_result *res,
                                             bool *ret_new_accounts);
enum hierarchy_reply hierarchy_read_resolve(struct hierarchy_statements *s, const struct pg_result *res);
enum hierarchy_reply hierarchy_read_objects(struct hierarchy_statements *s, const struct pg_result *res);

/* Reads row @i of the answer to ad_object_resolve_sql; false where it is none. */
bool hierarchy_read_answer(const struct pg_result *res, int i, struct hierarchy_answer *ret);

#endif
