#ifndef PORTION_H
#define PORTION_H

#include <stdint.h>

#include "spending/batch.h"

/* How much of a batch goes into one transaction. Some rows cost the server more than others, and hold locks for which
 * other writers wait:
 *
 * - The first row of a week makes a chunk: some 10 ms, and locks of which the server has a few thousand in all. Other
 *   writers with such rows wait until the transaction ends.
 * - A row of which only the id counts is looked for in every chunk, under a lock that all writers share.
 *
 * So a batch is cut before it is tried: no transaction makes more than PORTION_NEW_WEEKS chunks, nor writes to more than
 * PORTION_WEEKS, nor holds more than PORTION_IDS such rows, nor these beside others. */

enum {
        PORTION_NEW_WEEKS = 16,
        PORTION_WEEKS = 400,
        PORTION_IDS = 1000,
        PORTION_KNOWN = 4096, /* weeks that are remembered; a power of two */
};

/* Weeks that were written to before, so that they have their chunk. Zeroed at first, and when that may be wrong. */
struct known_weeks {
        uint32_t slots[PORTION_KNOWN]; /* week + 1 */
};

/* Keeps one transaction's portion in @b: the other rows go to a new batch, which is returned; NULL where there are none. */
struct batch *portion_cut(struct batch *b, const struct known_weeks *known);

/* The rows of @b are written. */
void portion_written(const struct batch *b, struct known_weeks *known);

#endif
