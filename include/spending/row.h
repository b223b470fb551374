#ifndef ROW_H
#define ROW_H

#include "spending/spending_record.h"
#include "wire/line.h"

/* A spending record on its way. */
struct row {
        struct spending_record rec; /* its slices point into the line */
        struct line line;
        XXH128_hash_t key_hash; /* the resolver's */
};

/* Moves the row's line to a block of its own: it is to stay long, and the block where it was received holds
 * many others. */
void row_detach(struct row *row);

/* Whether its sender may write what the record names: the same for all rows of a sender and an account. */
bool row_permitted(const struct row *row, struct reject *ret_reject);

#endif
