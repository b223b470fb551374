#ifndef HIERARCHY_STATEMENTS_H
#define HIERARCHY_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hierarchy/hierarchy_batch.h"
#include "hierarchy/hierarchy_verdict.h"
#include "pg/pg_conn.h"

/* The statements of a transaction that writes rows of a batch, and their answers. A row of an answer must
 * have the number of one row that was asked for; otherwise the answer is not used. */

enum { HIERARCHY_PARAMS_MAX = 12 };

struct hierarchy_statements {
        struct hierarchy_batch *batch; /* borrowed for the transaction */
        size_t start;                  /* the transaction writes its rows [start, end) */
        size_t end;
        uint32_t *asked; /* the rows of the statement in flight, in order */
        size_t asked_len;
        size_t asked_cap;
        int *answers; /* for each asked row the position of its answer */
        size_t answers_cap;
        /* for each account of the batch its number in the statement in flight; 0: not in it */
        uint32_t *numbers;
        size_t numbers_cap;
        uint32_t accounts; /* that the statement in flight names */
        size_t places;     /* where it looks for them */
        struct buf params[HIERARCHY_PARAMS_MAX];
};

/* The result of an answer. */
enum hierarchy_reply {
        HIERARCHY_REPLY_GOOD,
        HIERARCHY_REPLY_SKIPPED, /* a row was not written */
        HIERARCHY_REPLY_CHANGED, /* a row was not written as given, or the answer is not plausible */
};

void hierarchy_statements_deinit(struct hierarchy_statements *s);

/* Starts a transaction for the first part of @b. */
void hierarchy_statements_begin(struct hierarchy_statements *s, struct hierarchy_batch *b);

/* Opens the transaction and acquires the locks of the objects' accounts. */
void hierarchy_send_begin(const struct hierarchy_statements *s, struct pg_conn *conn);

/* Each sends its statement, or returns false if no row needs it: upsert accounts; read what the database
 * contains of objects, their accounts and parents; upsert the objects that have a good verdict and are new
 * or changed. */
bool hierarchy_send_accounts(struct hierarchy_statements *s, struct pg_conn *conn);
bool hierarchy_send_resolve(struct hierarchy_statements *s, struct pg_conn *conn);
bool hierarchy_send_objects(struct hierarchy_statements *s, struct pg_conn *conn);

/* Each reads an answer into the rows. Sets *ret_new_accounts if an account may be new.
 * hierarchy_read_resolve also judges the objects. */
enum hierarchy_reply hierarchy_read_accounts(struct hierarchy_statements *s, const struct pg_result *res,
                                             bool *ret_new_accounts);
enum hierarchy_reply hierarchy_read_resolve(struct hierarchy_statements *s, const struct pg_result *res);
enum hierarchy_reply hierarchy_read_objects(struct hierarchy_statements *s, const struct pg_result *res);

/* Reads row @i of the answer to ad_object_resolve_sql; returns false if it is implausible. */
bool hierarchy_read_answer(const struct pg_result *res, int i, struct hierarchy_answer *ret);

#endif
