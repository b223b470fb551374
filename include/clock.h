#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Wall-clock time in microseconds since the Unix epoch (clock_gettime(2), CLOCK_REALTIME). */
int64_t clock_now_us(void);

/* Milliseconds that only go forward, from a moment nobody knows (CLOCK_MONOTONIC). */
int64_t clock_monotonic_ms(void);

#endif
