#ifndef PARKING_H
#define PARKING_H

#include <stdbool.h>
#include <stdint.h>

#include "spending/miss.h"
#include "spending/resolver.h"

/* The rows of a resolver's misses: how they are counted, how long they wait, and how they leave. A row waits for an
 * answer first ("parked"). Where the database does not have its object, or cannot answer, it waits for that
 * ("unknown"), in a block of its own, so that it does not hold those of others. */

/* Takes over *row, which wants @miss. */
void parking_add_take(struct resolver *r, struct miss *miss, const struct row *row);

/* The first of @rows, which is on its way again, or at its end; it is the caller's. */
struct row parking_take(struct resolver *r, struct parked_row **rows);

/* @miss is unknown: the rows that may wait stay, the others are refused. @accounts: how many match. */
void parking_unknown(struct resolver *r, struct miss *miss, int64_t accounts);

/* The server cannot answer about @miss: all its rows wait, whatever the grace is. */
void parking_unanswered(struct resolver *r, struct miss *miss);

/* Gives the rows up. */
void parking_abandon(struct resolver *r, struct miss *miss, line_take_cb *cb, void *ctx);

#endif
