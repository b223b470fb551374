#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Wall-clock time in microseconds since the Unix epoch (clock_gettime(2), CLOCK_REALTIME). */
int64_t clock_now_us(void);

/* Microseconds, and milliseconds, that only go forward, from a moment nobody knows (CLOCK_MONOTONIC); the
 * same for all threads. */
uint64_t clock_monotonic_us(void);
int64_t clock_monotonic_ms(void);

#endif
