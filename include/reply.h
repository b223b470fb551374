#ifndef REPLY_H
#define REPLY_H

#include <stdint.h>

#include "buf.h"
#include "reject.h"

/* The daemon's side of the wire (contract section 4): each call appends one line. */

struct reply_counts {
        uint64_t stored;
        uint64_t duplicate;
        uint64_t rejected;
};

void reply_reject(struct buf *out, uint64_t line_no, const struct reject *reject);
void reply_ack(struct buf *out, uint64_t settled, const struct reply_counts *counts);
/* @why is a word: "shutdown", "too_many_connections". */
void reply_closing(struct buf *out, const char *why);

#endif
