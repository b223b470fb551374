#ifndef STAMP_H
#define STAMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"

/* The lines of a message, as they are sent to the daemon. A spending record without collectedAt gets one: the time at which
 * the stream stored the message, plus the line's number (from 1) in microseconds. It is the same whenever the message is
 * delivered, so the record gets the same id. */

struct stamped {
        size_t lines; /* appended; an empty line counts */
        size_t full;  /* of these not empty */
};

/* Appends the lines of @message to @out, each with a newline. A byte order mark before the first is left out. */
struct stamped stamp_lines(struct slice message, int64_t stored_us, struct json_scratch *scratch,
                           struct buf *out);

/* Cuts the next line off the front of @rest, without its newline. False at the end. */
bool stamp_next_line(struct slice *rest, struct slice *ret);

#endif
