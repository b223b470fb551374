#ifndef STAMP_H
#define STAMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"

/* Prepares the lines of a message for the daemon. A spending record without collectedAt gets one: the time
 * at which the stream stored the message, plus the line's number (from 1) in microseconds. It is the same at
 * every delivery, so the record gets the same id. */

struct stamped {
        size_t lines; /* number of lines appended, including empty ones */
        size_t full;  /* number of non-empty lines */
};

/* Appends the lines of @message to @out, each with a line feed. Drops a byte order mark before the first. */
struct stamped stamp_lines(struct slice message, int64_t stored_us, struct json_scratch *scratch,
                           struct buf *out);

/* Cuts the next line off the front of @rest, without its line feed. Returns false at the end. */
bool stamp_next_line(struct slice *rest, struct slice *ret);

#endif
