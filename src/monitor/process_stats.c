#include "monitor/process_stats.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/resource.h>

static void read_memory(struct process_stats *ret)
{
        unsigned long long virtual_pages;
        unsigned long long resident_pages;
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        FILE *f = fopen("/proc/self/statm", "re");

        if (!f)
                return;
        if (fscanf(f, "%llu %llu", &virtual_pages, &resident_pages) == 2) {
                ret->virtual_bytes = virtual_pages * page;
                ret->resident_bytes = resident_pages * page;
        }
        fclose(f);
}

static uint64_t count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        uint64_t count = 0;
        const struct dirent *entry;

        if (!dir)
                return 0;
        while ((entry = readdir(dir)))
                count += entry->d_name[0] != '.';
        closedir(dir);
        return count - 1; /* without the descriptor of the directory being read */
}

static double seconds(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void process_stats_read(struct process_stats *ret)
{
        struct rusage usage;
        struct rlimit fds;

        *ret = (struct process_stats){0};
        if (getrusage(RUSAGE_SELF, &usage) == 0)
                ret->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur != RLIM_INFINITY)
                ret->max_fds = fds.rlim_cur;
        read_memory(ret);
        ret->open_fds = count_fds();
}
