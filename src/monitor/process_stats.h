#ifndef PROCESS_STATS_H
#define PROCESS_STATS_H

#include <stdint.h>

/* Facts about this process from the kernel (proc(5)); 0 for what cannot be read. */
struct process_stats {
        double cpu_seconds; /* user and system time of all threads */
        uint64_t resident_bytes;
        uint64_t virtual_bytes;
        uint64_t open_fds;
        uint64_t max_fds; /* the soft limit; 0: none */
};

void process_stats_read(struct process_stats *ret);

#endif
