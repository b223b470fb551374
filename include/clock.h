#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Wall-clock time in microseconds since the Unix epoch (clock_gettime(2), CLOCK_REALTIME). */
int64_t clock_now_us(void);

#endif
