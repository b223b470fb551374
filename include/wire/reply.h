#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/acks.h"
#include "wire/reject.h"

/* The daemon's side of the wire (contract section 4): each call appends one line. */

void reply_reject(struct buf *out, uint64_t line_no, const struct reject *reject);
/* The same from texts; @field may be "". */
void reply_reject_texts(struct buf *out, uint64_t line_no, const char *code, const char *field,
                        const char *message);
/* @with_spool: says how many are spooled, too. */
void reply_ack(struct buf *out, const struct acks *acks, bool with_spool);
/* @why is a word: "shutdown", "too_many_connections". */
void reply_closing(struct buf *out, const char *why);

#endif
