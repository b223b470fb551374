#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Wall-clock time in microseconds since the Unix epoch (clock_gettime(2), CLOCK_REALTIME). */
int64_t clock_now_us(void);

/* Microseconds and milliseconds on a clock that never goes back (CLOCK_MONOTONIC), from an arbitrary start
 * that all threads share. */
uint64_t clock_monotonic_us(void);
int64_t clock_monotonic_ms(void);

#endif
