#ifndef FATES_H
#define FATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/pg_conn.h"

/* The fate of each row of a batch in the open transaction, as read from the server's answers. Zeroed before
 * its first use.
 *
 * The server's row numbers are not trusted: an answer with no number, a repeated number or that of a row not
 * asked about changes nothing, and false is returned. */

enum fate {
        FATE_OPEN,     /* not known */
        FATE_INSERTED, /* by this transaction */
        FATE_SAME,     /* the same record was stored already */
        FATE_CONFLICT, /* a different record is stored under its id and collectedAt */
        FATE_ABSENT,   /* neither inserted nor stored: a trigger dropped it */
        FATE_ANY,      /* for fates_ask: all rows */
};

struct fates {
        uint8_t *of; /* enum fate of each row */
        size_t len;
        uint32_t *chosen; /* rows to ask about: consecutive statements ask about consecutive parts */
        size_t chosen_len;
        uint32_t *asked; /* points into chosen: the rows of the statement in flight, in order */
        size_t asked_len;
        size_t cap; /* capacity of "of" and chosen */
};

void fates_deinit(struct fates *f);

/* Sets all @len rows to FATE_OPEN. */
void fates_begin(struct fates *f, size_t len);

/* Reads the answer of spending_merge_sql about the asked rows. Returns false if the database changes what it
 * stores. */
bool fates_read_merge(struct fates *f, const struct pg_result *res);

/* Chooses the rows with @fate, and asks about all of them in one statement. False if there are none. */
bool fates_ask(struct fates *f, enum fate fate);

/* Sorts the chosen rows by @compare, qsort_r(3) with @ctx, and asks about none yet. */
void fates_sort(struct fates *f, int (*compare)(const void *a, const void *b, void *ctx), void *ctx);

/* Asks about the next @len of the chosen rows. */
void fates_ask_next(struct fates *f, size_t len);

/* How many chosen rows were not asked about. */
size_t fates_left(const struct fates *f);

/* Reads the answer of spending_compare_sql about the asked rows. @absent: the fate of a row that is not stored.
 * Returns false if the database changes what it stores: a row that this transaction inserted is missing or
 * different. */
bool fates_read_compare(struct fates *f, const struct pg_result *res, enum fate absent);

/* Sets all rows that this transaction did not insert to FATE_OPEN. */
void fates_reopen(struct fates *f);

/* Reads the answer of spending_compare_ids_sql about absent rows. Returns false if one is stored with
 * another collected_at. */
bool fates_read_elsewhere(const struct fates *f, const struct pg_result *res);

/* How many rows have @fate. */
size_t fates_count(const struct fates *f, enum fate fate);

#endif
