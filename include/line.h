#ifndef LINE_H
#define LINE_H

#include <stdint.h>

#include "acks.h"
#include "memory.h"
#include "reject.h"
#include "slice.h"

/* A line on its way, and where it came from. Whoever holds one settles it exactly once. */
struct line {
        struct block *block; /* where its bytes are; the line holds a reference */
        struct slice text;   /* as it was sent, in the block */
        void *origin;        /* who sent it: a session */
        uint64_t number;     /* of that origin, from 1 */
};

/* Takes over the line's fate: tells its origin, lets its memory go. @reject is given for LINE_REJECTED only.
 */
typedef void line_settle_cb(void *ctx, struct line *line, enum line_outcome outcome,
                            const struct reject *reject);

#endif
