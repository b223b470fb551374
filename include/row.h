#ifndef ROW_H
#define ROW_H

#include <stdint.h>

#include "acks.h"
#include "memory.h"
#include "record.h"

/* A record on its way, and where it came from. Whoever holds a row settles it exactly once. */
struct row {
        struct spending_record rec;
        struct block *block;    /* what rec's slices point into; the row holds a reference */
        struct slice line;      /* the line as it was sent, in the block */
        void *origin;           /* who sent it: a session */
        uint64_t line_no;       /* of that origin, from 1 */
        XXH128_hash_t key_hash; /* the resolver's */
};

/* Takes over @row's fate: tells its origin, lets its memory go. @reject is given for LINE_REJECTED only. */
typedef void row_settle_cb(void *ctx, struct row *row, enum line_outcome outcome,
                           const struct reject *reject);

#endif
