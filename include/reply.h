#ifndef REPLY_H
#define REPLY_H

#include <stdint.h>

#include "acks.h"
#include "buf.h"
#include "reject.h"

/* The daemon's side of the wire (contract section 4): each call appends one line. */

void reply_reject(struct buf *out, uint64_t line_no, const struct reject *reject);
void reply_ack(struct buf *out, const struct acks *acks);
/* @why is a word: "shutdown", "too_many_connections". */
void reply_closing(struct buf *out, const char *why);

#endif
