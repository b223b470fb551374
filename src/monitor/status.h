#ifndef STATUS_H
#define STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "monitor/history.h"
#include "monitor/process_stats.h"
#include "monitor/stats.h"

/* Everything that the status pages show, and its two formats. Borrows everything. */

enum {
        STATUS_REASON_BYTES = 600,
        STATUS_STALE_US = 4 * 1000000, /* older stats mean that a worker does not answer */
};

struct status {
        const char *version;
        int pid;
        int64_t started_us; /* microseconds since the Unix epoch */
        int64_t now_us;
        uint64_t clock_us; /* now, by the clock of the stats (clock_monotonic_us) */
        unsigned workers;
        const char *trouble; /* what is wrong with the database's tables; "" for nothing */
        bool draining;
        uint64_t connections_limit;
        uint64_t accepted; /* client connections since the start */
        uint64_t http_requests;
        bool reload_failed;
        int64_t configured_us; /* when the configuration was read, microseconds since the Unix epoch */
        int64_t expires_s;     /* when the certificate expires, seconds since the Unix epoch; 0 without TLS */
        int64_t crl_expires_s; /* when the first revocation list expires; 0 without one */
        const struct stats *stats; /* the sum of all workers */
        const struct history *history;
        const struct process_stats *process;
        char not_ready[STATUS_REASON_BYTES]; /* "" if the daemon is ready */
};

/* Checks that lines can be accepted and then stored or spooled; sets s->not_ready. */
void status_judge(struct status *s);

/* Appends the metrics in Prometheus' text format 0.0.4. */
void metrics_write(struct buf *out, const struct status *s);

/* Appends the body of /status.json. */
void status_json_write(struct buf *out, const struct status *s);

#endif
