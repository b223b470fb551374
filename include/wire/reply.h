#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/acks.h"
#include "wire/reject.h"

/* The daemon's replies on the wire; each call appends one line. */

void reply_reject(struct buf *out, uint64_t line_no, const struct reject *reject);
/* As reply_reject, from texts; @field may be "". */
void reply_reject_texts(struct buf *out, uint64_t line_no, const char *code, const char *field,
                        const char *message);
/* @with_spool: include the number of spooled lines. */
void reply_ack(struct buf *out, const struct acks *acks, bool with_spool);
/* @why is a code: "shutdown", "too_many_connections". */
void reply_closing(struct buf *out, const char *why);

#endif
