#ifndef PARKING_H
#define PARKING_H

#include <stdbool.h>
#include <stdint.h>

#include "spending/miss.h"
#include "spending/resolver.h"

/* The rows of a resolver's misses: how they are counted, how long they wait, how they leave. A row first
 * waits for an answer ("parked"). If the database does not contain its object or cannot answer, the row
 * waits for the object ("unknown"), in a block of its own, so that it does not keep the blocks of others. */

/* Takes over *row, which wants @miss. */
void parking_add_take(struct resolver *r, struct miss *miss, const struct row *row);

/* Removes and returns the first of @rows, which the caller then owns. */
struct row parking_take(struct resolver *r, struct parked_row **rows);

/* @miss is unknown: rows that may wait stay, the others are rejected. @accounts: number of matching
 * accounts. */
void parking_unknown(struct resolver *r, struct miss *miss, int64_t accounts);

/* The server cannot answer about @miss: all its rows wait, regardless of the grace. */
void parking_unanswered(struct resolver *r, struct miss *miss);

/* Gives up the rows of @miss. */
void parking_abandon(struct resolver *r, struct miss *miss, line_take_cb *cb, void *ctx);

#endif
