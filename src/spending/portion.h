#ifndef PORTION_H
#define PORTION_H

#include <stdint.h>

#include "spending/batch.h"

/* Limits how much of a batch one transaction writes. Some rows are more expensive for the server than others, and hold
 * locks for which other writers wait:
 *
 * - The first row of a week creates a chunk: some 10 ms, and locks, of which the server has a few thousand in all. Other
 *   writers with such rows wait until the transaction ends.
 * - A row keyed by id alone is searched for in every chunk, under a lock that all writers share.
 *
 * So a batch is cut before it is tried: no transaction creates more than PORTION_NEW_WEEKS chunks, writes to more than
 * PORTION_WEEKS, or contains more than PORTION_IDS rows keyed by id alone; and it does not mix these with other rows. */

enum {
        PORTION_NEW_WEEKS = 16,
        PORTION_WEEKS = 400,
        PORTION_IDS = 1000,
        PORTION_KNOWN = 4096, /* weeks that are remembered; a power of two */
};

/* Weeks that already have a chunk, since rows were written to them. Zeroed at first, and whenever that may
 * be wrong. */
struct known_weeks {
        uint32_t slots[PORTION_KNOWN]; /* week + 1 */
};

/* Keeps one transaction's portion in @b and returns the other rows in a new batch; NULL if there are none. */
struct batch *portion_cut(struct batch *b, const struct known_weeks *known);

/* Keeps in @b the rows that belong to the week of its first row. Returns a new batch with the other rows; NULL if there are
 * none. */
struct batch *portion_part_week(struct batch *b);

/* The rows of @b are written. */
void portion_written(const struct batch *b, struct known_weeks *known);

#endif
