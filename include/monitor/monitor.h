#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/config.h"
#include "monitor/history.h"
#include "monitor/http.h"
#include "monitor/stats.h"

/* What the daemon tells of itself over HTTP: asks for reports, each second and for each request, keeps their
 * history, and answers. On the main thread. */

struct monitor_ops {
        /* Let all workers fill their stats; monitor_on_stats_take follows, once, now or later. */
        void (*ask)(void *ctx, enum stats_detail detail);
};

struct monitor {
        const struct config *config;
        const struct monitor_ops *ops;
        void *ctx;
        struct http http;
        uv_timer_t tick;
        bool draining;
        const char *trouble;   /* what is wrong with the database's tables, borrowed; "" for nothing */
        uint64_t accepted;     /* connections, since the start */
        int64_t started_us;    /* since the Unix epoch */
        uint64_t asks;         /* reports asked for */
        uint64_t reports;      /* and received: one less while one is awaited */
        uint64_t asked_us;     /* clock_monotonic_us when one was last asked for */
        bool step_due;         /* the next report ends a step of the history */
        bool reload_failed;    /* the configuration in use is not the one in the file */
        int64_t configured_us; /* since the Unix epoch, when the one in use was read */
        int64_t expires_s;     /* since the Unix epoch, when the certificate expires; 0 without TLS */
        int64_t crl_expires_s; /* likewise, the first revocation list; 0 without one */
        struct list waiting;   /* requests, for a report that was asked for after them */
        struct stats stats;    /* the last one */
        struct history history;
};

/* Opens http.listen, where it is not "". 0, or a code of enum err once the log was told why; @m is to be
 * closed in either case. */
int monitor_open(struct monitor *m, uv_loop_t *loop, const struct config *config,
                 const struct monitor_ops *ops, void *ctx);

/* The sum of all workers' reports is here: takes it over. */
void monitor_on_stats_take(struct monitor *m, struct stats *sum);

/* A client has connected. */
static inline void monitor_on_accepted(struct monitor *m)
{
        m->accepted++;
}

/* What is wrong with the database's tables, or ""; to stay. */
static inline void monitor_set_trouble(struct monitor *m, const char *trouble)
{
        m->trouble = trouble;
}

/* The configuration was read, at the start or by a reload; if not @successful, the one before stays in use. @expires_s: when
 * the certificate in use expires, in seconds since the Unix epoch; 0 without TLS. */
void monitor_on_configured(struct monitor *m, bool successful, int64_t expires_s, int64_t crl_expires_s);

/* The daemon is stopping. */
void monitor_drain(struct monitor *m);

/* Stops answering; a report that is awaited may still come. Its handles close on the loop's next turn. */
void monitor_close(struct monitor *m);

/* When the loop has ended. */
void monitor_deinit(struct monitor *m);

#endif
