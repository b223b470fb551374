#ifndef REJECT_LOG_H
#define REJECT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/line.h"
#include "wire/reject.h"

/* One connection's refused lines in the log: the first few one by one, a flood in sums. Never what stood in
 * the line. */

enum {
        REJECT_LOG_SINGLE = 3, /* told one by one */
        REJECT_LOG_PAUSE_MS = 10000,
        REJECT_LOG_FIELD_BYTES = 32,
};

/* Zeroed at first. */
struct reject_log {
        uint64_t told;                                     /* one by one */
        uint64_t since_ms;                                 /* of what is below */
        uint64_t counts[REJECT_CODES];                     /* not told yet */
        char fields[REJECT_CODES][REJECT_LOG_FIELD_BYTES]; /* of the last one of each */
};

/* A line was refused, at loop time @now_ms. True where reject_log_tell is to be called later, within
 * REJECT_LOG_PAUSE_MS. */
bool reject_log_add(struct reject_log *l, uint64_t now_ms, const struct line_from *from,
                    const struct reject *reject);

/* Tells what was not told yet, if anything. */
void reject_log_tell(struct reject_log *l, uint64_t now_ms, const struct line_from *from);

#endif
