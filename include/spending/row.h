#ifndef ROW_H
#define ROW_H

#include "spending/spending_record.h"
#include "wire/line.h"

/* A spending record being processed. */
struct row {
        struct spending_record rec; /* its slices point into the line */
        struct line line;
        XXH128_hash_t key_hash; /* the resolver's */
};

/* Copies the row's line to a block of its own: the row stays for long, and its block contains many other
 * lines. */
void row_detach(struct row *row);

/* True if the sender may write what the record names; the same for all rows of one sender and account. */
bool row_permitted(const struct row *row, struct reject *ret_reject);

#endif
