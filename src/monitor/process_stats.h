#ifndef PROCESS_STATS_H
#define PROCESS_STATS_H

#include <stdint.h>

/* What the kernel knows of this process (proc(5)); what cannot be read is 0. */
struct process_stats {
        double cpu_seconds; /* user and system, of all threads */
        uint64_t resident_bytes;
        uint64_t virtual_bytes;
        uint64_t open_fds;
        uint64_t max_fds; /* the soft limit; 0 for none */
};

void process_stats_read(struct process_stats *ret);

#endif
