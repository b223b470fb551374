#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/config.h"
#include "monitor/history.h"
#include "monitor/http.h"
#include "monitor/stats.h"

/* The daemon's HTTP pages, on the main thread. The monitor requests the workers' stats, each second and for
 * each request, keeps their history, and answers. */

struct monitor_ops {
        /* Ask all workers for stats; monitor_on_stats_take follows exactly once, during this call or later. */
        void (*ask)(void *ctx, enum stats_detail detail);
};

struct monitor {
        const struct config *config;
        const struct monitor_ops *ops;
        void *ctx;
        struct http http;
        uv_timer_t tick;
        bool draining;
        const char *trouble; /* what is wrong with the database's tables, borrowed; "" for nothing */
        uint64_t accepted;   /* client connections since the start */
        int64_t started_us;  /* microseconds since the Unix epoch */
        uint64_t asks;       /* requests for stats */
        uint64_t reports;    /* stats received: one fewer than asks while some are awaited */
        uint64_t asked_us;   /* clock_monotonic_us of the last request for stats */
        bool step_due;       /* the next stats end a step of the history */
        bool reload_failed;  /* the last reload failed: the configuration in use is not the file's */
        /* when the configuration in use was read, microseconds since the Unix epoch */
        int64_t configured_us;
        int64_t expires_s;     /* when the certificate expires, seconds since the Unix epoch; 0 without TLS */
        int64_t crl_expires_s; /* when the first revocation list expires; 0 without one */
        struct list waiting;   /* HTTP requests that wait for stats requested after they arrived */
        struct stats stats;    /* the latest */
        struct history history;
};

/* Opens http.listen unless it is "". Returns 0, or a code of enum err after logging the reason; the caller
 * closes @m in either case. */
int monitor_open(struct monitor *m, uv_loop_t *loop, const struct config *config,
                 const struct monitor_ops *ops, void *ctx);

/* Delivers the sum of all workers' stats; takes it over. */
void monitor_on_stats_take(struct monitor *m, struct stats *sum);

/* Counts a client connection. */
static inline void monitor_on_accepted(struct monitor *m)
{
        m->accepted++;
}

/* @trouble: what is wrong with the database's tables, or ""; must stay valid. */
static inline void monitor_set_trouble(struct monitor *m, const char *trouble)
{
        m->trouble = trouble;
}

/* The configuration was read, at the start or by a reload; unless @successful, the previous one stays in
 * use. @expires_s: when the certificate in use expires, in seconds since the Unix epoch; 0 without TLS. */
void monitor_on_configured(struct monitor *m, bool successful, int64_t expires_s, int64_t crl_expires_s);

/* The daemon is stopping. */
void monitor_drain(struct monitor *m);

/* Stops answering; awaited stats may still arrive. Handles close on the loop's next turn. */
void monitor_close(struct monitor *m);

/* To be called after the loop has ended. */
void monitor_deinit(struct monitor *m);

#endif
