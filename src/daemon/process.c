#include "daemon/process.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/resource.h>
#include <uv.h>

#include "base/hide_memory.h"
#include "base/log.h"
#include "server/sessions.h"

void process_raise_descriptor_limit(const struct config *config)
{
        rlim_t want = (rlim_t)config->limits.max_connections + 256 +
                      (16 + SESSIONS_STRANGERS_MAX) * (rlim_t)config->daemon.workers;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
                return;
        limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
                log_warn(
                        "limits.max_connections is %u, but only %llu descriptors may be open (RLIMIT_NOFILE)",
                        config->limits.max_connections, (unsigned long long)limit.rlim_cur);
}

static void seed_jitter(void)
{
        srandom((unsigned)(uv_hrtime() ^ (uint64_t)getpid()));
}

/* Connecting to the database, the spool, the reject file and rejects.replay_unknown use libuv's thread pool.
 * A connection attempt may take ten seconds and must not delay the disk. libuv reads this variable when its
 * first thread is needed. */
static void make_threads(const struct config *config)
{
        unsigned connections = config->database.writers + 3 * config->daemon.workers;
        char threads[16];

        snprintf(threads, sizeof(threads), "%u", connections + 4);
        setenv("UV_THREADPOOL_SIZE", threads, 1);
}

void process_prepare(const struct config *config)
{
        seed_jitter();
        hide_memory();
        process_raise_descriptor_limit(config);
        make_threads(config);
}
