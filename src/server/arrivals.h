#ifndef ARRIVALS_H
#define ARRIVALS_H

#include <stdint.h>

#include "base/histogram.h"

/* When lines of one session came that are not acked yet. Zeroed at first. Lines that came together are one
 * entry; with too many entries neighbours become one, with the time of the earlier: the more lines there are
 * that wait, the less exactly it is known since when, and never too late. Times are of any one clock in
 * microseconds. */

enum { ARRIVALS_MAX = 32 };

struct arrival {
        uint64_t last; /* the number of the last of its lines */
        uint64_t us;
};

struct arrivals {
        struct arrival items[ARRIVALS_MAX]; /* in the order of their lines */
        unsigned len;
};

/* Lines behind those noted before, or behind the first @acked, and up to number @last came at @us. */
void arrivals_note(struct arrivals *a, uint64_t acked, uint64_t last, uint64_t us);

/* Lines behind number @acked and up to number @upto, which were noted, are acked at @now_us: how long each
 * took is added to @latency. Returns the longest. */
uint64_t arrivals_ack(struct arrivals *a, uint64_t acked, uint64_t upto, uint64_t now_us,
                      struct histogram *latency);

/* When the oldest line came; 0 where there is none. */
uint64_t arrivals_oldest(const struct arrivals *a);

#endif
