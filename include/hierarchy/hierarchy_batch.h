#ifndef HIERARCHY_BATCH_H
#define HIERARCHY_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/memory.h"
#include "hierarchy/hierarchy_record.h"
#include "hierarchy/key_table.h"
#include "pg/suspect.h"
#include "spending/row.h"
#include "wire/line.h"

/* Hierarchy records that go to the database in one transaction, in the order of their arrival.
 *
 * A transaction writes all accounts, then all objects, and so does not see the order in which lines came. It
 * comes to the same because a batch never holds two lines of one key, nor a line that an earlier one refers
 * to (an account after its objects, a parent after its children): such a line has to wait for the next batch.
 */

/* What the database said of a row. */
enum hierarchy_verdict {
        HIERARCHY_OK,
        HIERARCHY_UNKNOWN_CONNECTION,
        HIERARCHY_NOT_ONE_ACCOUNT, /* none, or several: hierarchy_row.accounts says how many */
        HIERARCHY_UNKNOWN_PARENT,
        HIERARCHY_PARENT_LEVEL,     /* the parent is not of the level above: hierarchy_row.other_type */
        HIERARCHY_TYPE_HAS_CHILDREN /* it is there as another type, other_type, and has children */
};

struct hierarchy_row {
        struct line line; /* the record's slices point into it */
        enum record_kind kind;
        union {
                struct ad_account_record account; /* RECORD_AD_ACCOUNT */
                struct ad_object_record object;   /* RECORD_AD_OBJECT */
        } rec;

        /* Of objects, set when the row goes into a batch. */
        uint32_t account_number; /* from 1, among those that the batch's objects name */
        int32_t parent_row;      /* an earlier row of this batch that is the parent; -1: none */
        unsigned lock;           /* the account's, of HIERARCHY_LOCKS that all accounts share */

        /* Set by who writes the batch. */
        enum hierarchy_verdict verdict;
        enum db_write write;
        int64_t accounts;
        enum ad_object_type other_type;
        struct uuid id;
        struct uuid account_id;
        struct uuid old_parent_id; /* all zeros: none */
        struct uuid parent_id;     /* of an object that has a parent, and is right */
};

/* An account as objects name it. */
struct hierarchy_account {
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        struct json_string external_id; /* in the line of the first object that names it */
        struct block *block;            /* where that is; the account holds a reference */
        struct rules *client;           /* likewise: by whose rules it is found; may be NULL */
};

/* Spending that has to wait until the batch is written. */
struct follower {
        struct follower *next;
        struct row row;
};

enum {
        HIERARCHY_LOCKS = 64,
        HIERARCHY_PARTS_MAX = 8 * sizeof(size_t), /* a batch cannot be halved more often */
};

struct hierarchy_batch {
        struct list queue;
        struct memory *memory;
        uint64_t number; /* batches are numbered in the order of their rows; 0: of rows that were set aside */
        struct hierarchy_row *rows;
        size_t len;
        size_t cap;
        size_t bytes; /* of the rows' lines */
        struct hierarchy_account *accounts;
        size_t accounts_len;
        size_t accounts_cap;
        struct follower *followers;
        struct follower **followers_end;

        /* How far it is written. Rows before @start are settled. A batch that failed is divided into parts, which
         * are written one after the other, each in a transaction. */
        size_t start;
        size_t part_ends[HIERARCHY_PARTS_MAX]; /* the first part's is the last of these */
        unsigned parts;                        /* 0: it is not divided */
        struct suspicion suspicion;            /* of the first part */
        uint64_t due;                          /* loop time in ms when that is to be tried again */
        size_t aside;                          /* lines that count in struct hierarchy_aside */

        struct key_table keys; /* what rows are and refer to */
};

/* An empty batch. Its memory is counted in @memory. */
struct hierarchy_batch *hierarchy_batch_new(struct memory *memory, uint64_t number);

/* Rows must have been settled, followers taken. */
void hierarchy_batch_free(struct hierarchy_batch *b);

/* Takes over *row. False where it must not stand in this batch: it is still the caller's. */
bool hierarchy_batch_add_take(struct hierarchy_batch *b, const struct hierarchy_row *row);

/* Where the first part ends. */
static inline size_t hierarchy_batch_end(const struct hierarchy_batch *b)
{
        return b->parts > 0 ? b->part_ends[b->parts - 1] : b->len;
}

/* Divides the first part, of two rows or more. */
void hierarchy_batch_divide(struct hierarchy_batch *b);

/* The first part is settled. */
void hierarchy_batch_advance(struct hierarchy_batch *b);

/* Moves the row's line to a block of its own: it is to stay long, and the block where it was received holds
 * many others. */
void hierarchy_row_detach(struct hierarchy_row *row);

/* Takes over *row. */
void hierarchy_batch_follow_take(struct hierarchy_batch *b, const struct row *row);

/* Moves all followers of @from to @to, which has none. */
void hierarchy_batch_move_followers(struct hierarchy_batch *to, struct hierarchy_batch *from);

/* Moves the first follower to *ret; false where there is none. */
bool hierarchy_batch_unfollow(struct hierarchy_batch *b, struct row *ret);

#endif
