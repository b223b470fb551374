#ifndef FATES_H
#define FATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/pg_conn.h"

/* What became of each row of a batch in the transaction that is open, by what the server answered. Zeroed before its first
 * use.
 *
 * The server's row numbers are data like any other: an answer that names no row, or one twice, or a row that was not asked
 * for, changes nothing and is told (false). */

enum fate {
        FATE_OPEN,     /* not known */
        FATE_INSERTED, /* by this transaction */
        FATE_SAME,     /* the same record was stored already */
        FATE_CONFLICT, /* another record is stored under its id and collectedAt */
        FATE_ABSENT,   /* neither inserted nor stored: a trigger dropped it */
        FATE_ANY,      /* for fates_ask: all rows */
};

struct fates {
        uint8_t *of; /* enum fate, for each row */
        size_t len;
        uint32_t *chosen; /* rows to be asked about: those of one statement after the other */
        size_t chosen_len;
        uint32_t *asked; /* within chosen: the rows of the statement in flight, in its order */
        size_t asked_len;
        size_t cap; /* of "of" and chosen */
};

void fates_deinit(struct fates *f);

/* All of @len rows are open. */
void fates_begin(struct fates *f, size_t len);

/* spending_merge_sql's answer. False: the database changes what it stores. */
bool fates_read_merge(struct fates *f, const struct pg_result *res);

/* Chooses the rows with @fate, and asks about all of them in one statement. False if there are none. */
bool fates_ask(struct fates *f, enum fate fate);

/* Sorts the chosen rows by @compare, qsort_r(3) with @ctx, and asks about none yet. */
void fates_sort(struct fates *f, int (*compare)(const void *a, const void *b, void *ctx), void *ctx);

/* Asks about the next @len of the chosen rows. */
void fates_ask_next(struct fates *f, size_t len);

/* How many chosen rows were not asked about. */
size_t fates_left(const struct fates *f);

/* spending_compare_sql's answer about the rows that were asked for. False: the database changes what it stores: what this
 * transaction inserted is not there, or is something else. */
bool fates_read_compare(struct fates *f, const struct pg_result *res);

/* spending_compare_ids_sql's answer about rows that are absent. False: one is stored at another time than its own. */
bool fates_read_elsewhere(const struct fates *f, const struct pg_result *res);

/* How many rows have @fate. */
size_t fates_count(const struct fates *f, enum fate fate);

#endif
