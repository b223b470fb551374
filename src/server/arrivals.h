#ifndef ARRIVALS_H
#define ARRIVALS_H

#include <stdint.h>

#include "base/histogram.h"

/* Receive times of a session's unacked lines. Zeroed at first. Lines received together are one entry. If
 * there are too many entries, neighbours are merged, with the earlier time: the more lines wait, the less
 * exact are their times, and these are never too late. Times are in microseconds, of any one clock. */

enum { ARRIVALS_MAX = 32 };

struct arrival {
        uint64_t last; /* number of the last line in the entry */
        uint64_t us;
};

struct arrivals {
        struct arrival items[ARRIVALS_MAX]; /* in line order */
        unsigned len;
};

/* Records that lines up to number @last, after those recorded before and after the first @acked, were
 * received at @us. */
void arrivals_note(struct arrivals *a, uint64_t acked, uint64_t last, uint64_t us);

/* Lines after number @acked up to @upto, all recorded, are acked at @now_us: adds their latencies to
 * @latency. Returns the longest. */
uint64_t arrivals_ack(struct arrivals *a, uint64_t acked, uint64_t upto, uint64_t now_us,
                      struct histogram *latency);

/* When the oldest line was received; 0 if there is none. */
uint64_t arrivals_oldest(const struct arrivals *a);

#endif
