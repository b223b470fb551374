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
#include "spending/batcher.h"
#include "spending/row.h"
#include "wire/line.h"

/* Hierarchy records that are written in one transaction, in order of arrival.
 *
 * A transaction writes all accounts, then all objects, regardless of the order of lines. The result is the
 * same, since a batch never contains two lines with one key, nor a line to which an earlier line of the
 * batch refers (an account after its objects, a parent after its children): such a line starts the next
 * batch. */

/* The verdict on a row, from what the database contains. */
enum hierarchy_verdict {
        HIERARCHY_OK,
        HIERARCHY_UNKNOWN_CONNECTION,
        HIERARCHY_NOT_ONE_ACCOUNT, /* none or several match: see hierarchy_row.accounts */
        HIERARCHY_UNKNOWN_PARENT,
        HIERARCHY_PARENT_LEVEL, /* the parent's type is not the level above: see hierarchy_row.other_type */
        HIERARCHY_TYPE_HAS_CHILDREN /* the object exists with another type, other_type, and has children */
};

/* What the database contains of an object. */
struct hierarchy_known {
        bool exists;
        struct uuid id;
        enum ad_object_type type;
};

struct hierarchy_row {
        struct line line; /* the record's slices point into this line */
        enum record_kind kind;
        enum batcher_sender sender; /* when the line came, or when its batch was last set aside */
        union {
                struct ad_account_record account; /* if RECORD_AD_ACCOUNT */
                struct ad_object_record object;   /* if RECORD_AD_OBJECT */
        } rec;

        /* For objects; set when the row is added to a batch. */
        uint32_t account_number; /* from 1, among the accounts that the batch's objects name */
        int32_t parent_row;      /* an earlier row of this batch that is the parent; -1: none */
        int32_t same_parent_row; /* the first row of this batch that names the same parent; -1: this one, or none */
        unsigned lock;           /* the account's lock, one of the HIERARCHY_LOCKS that all accounts share */

        /* Set by the writer of the batch. */
        enum hierarchy_verdict verdict;
        enum db_write write; /* before the row is written: DB_WRITE_NONE if it is unchanged */
        int64_t accounts;
        enum ad_object_type other_type;
        struct hierarchy_known stored;        /* the object itself */
        struct hierarchy_known stored_parent; /* the parent that the record names */
        struct uuid id;
        struct uuid account_id;
        struct uuid old_parent_id; /* all zeros: none */
        struct uuid parent_id;     /* all zeros: none, or a bad verdict */
};

/* An account as objects name it. */
struct hierarchy_account {
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        /* points into the line of the first object that names the account */
        struct json_string external_id;
        struct block *block;  /* contains external_id; the account holds a reference */
        struct rules *client; /* by whose rules it is found; a reference, as above; may be NULL */
};

/* A spending row that waits until the batch is written. */
struct follower {
        struct follower *next;
        struct row row;
};

enum {
        HIERARCHY_LOCKS = 64,
        HIERARCHY_PARTS_MAX = 8 * sizeof(size_t), /* maximum depth to which a batch can be halved */
};

struct hierarchy_batch {
        struct list queue;
        struct memory *memory;
        uint64_t number; /* batches are numbered in order; 0: made of rows that were set aside */
        struct hierarchy_row *rows;
        size_t len;
        size_t cap;
        size_t bytes; /* total size of the rows' lines */
        struct hierarchy_account *accounts;
        size_t accounts_len;
        size_t accounts_cap;
        struct follower *followers;
        struct follower **followers_end;

        /* Progress of writing. Rows before @start are settled. A batch that failed is divided into parts,
         * which are written one after the other, each in its own transaction. */
        size_t start;
        /* ends of the parts; the first part's end is the last of these */
        size_t part_ends[HIERARCHY_PARTS_MAX];
        unsigned parts;             /* 0: not divided */
        struct suspicion suspicion; /* against the first part */
        uint64_t due;               /* loop time in ms at which the first part is tried again */
        size_t aside;               /* lines counted in struct hierarchy_aside */

        /* Of a batch that was set aside: the least trusted of those who sent its rows. */
        enum batcher_sender sender;
        bool gathers;    /* takes more rows until it is tried */
        size_t new_rows; /* rows of SENDER_NEW */

        struct key_table keys; /* the rows and what they refer to */
};

/* Returns an empty batch; @memory counts it. */
struct hierarchy_batch *hierarchy_batch_new(struct memory *memory, uint64_t number);

/* All rows must have been settled, all followers removed. */
void hierarchy_batch_free(struct hierarchy_batch *b);

/* Takes over *row. Returns false if *row must not be in this batch; it then remains the caller's. */
bool hierarchy_batch_add_take(struct hierarchy_batch *b, const struct hierarchy_row *row);

/* Index at which the first part ends. */
static inline size_t hierarchy_batch_end(const struct hierarchy_batch *b)
{
        return b->parts > 0 ? b->part_ends[b->parts - 1] : b->len;
}

/* True if an unsettled row is of a client that has closed its connection. */
bool hierarchy_batch_has_gone(const struct hierarchy_batch *b);

/* Divides the first part, which must have at least two rows. */
void hierarchy_batch_divide(struct hierarchy_batch *b);

/* The first part is settled; goes on to the next. */
void hierarchy_batch_advance(struct hierarchy_batch *b);

/* Copies the row's line to a block of its own: the row stays for long, and its block contains many other
 * lines. */
void hierarchy_row_detach(struct hierarchy_row *row);

/* Takes over *row as a follower. */
void hierarchy_batch_follow_take(struct hierarchy_batch *b, const struct row *row);

/* Moves all followers of @from to @to, which must have none. */
void hierarchy_batch_move_followers(struct hierarchy_batch *to, struct hierarchy_batch *from);

/* Moves the first follower to *ret; returns false if there is none. */
bool hierarchy_batch_unfollow(struct hierarchy_batch *b, struct row *ret);

#endif
