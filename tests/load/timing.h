#ifndef TIMING_H
#define TIMING_H

#include <time.h>

/* The time of @clock (clock_gettime(2)) in seconds. */
static inline double seconds(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

#endif
