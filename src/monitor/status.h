#ifndef STATUS_H
#define STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "monitor/history.h"
#include "monitor/process_stats.h"
#include "monitor/stats.h"

/* All that the daemon tells of itself, and its two forms. Everything is borrowed. */

enum {
        STATUS_REASON_BYTES = 600,
        STATUS_STALE_US = 4 * 1000000, /* a report that old: some worker does not answer */
};

struct status {
        const char *version;
        int pid;
        int64_t started_us; /* since the Unix epoch */
        int64_t now_us;
        uint64_t clock_us; /* now, clock_monotonic_us: the report's clock */
        unsigned workers;
        const char *trouble; /* with the database's tables; "" for none */
        bool draining;
        uint64_t connections_limit;
        uint64_t accepted; /* clients, since the start */
        uint64_t http_requests;
        bool reload_failed;
        int64_t configured_us;     /* since the Unix epoch */
        int64_t expires_s;         /* likewise, the certificate; 0 without TLS */
        int64_t crl_expires_s;     /* likewise, the first revocation list; 0 without one */
        const struct stats *stats; /* all workers' sum */
        const struct history *history;
        const struct process_stats *process;
        char not_ready[STATUS_REASON_BYTES]; /* "" where it is ready */
};

/* Whether lines can be taken, and stored or spooled: sets s->not_ready. */
void status_judge(struct status *s);

/* Appends the metrics in Prometheus' text format 0.0.4. */
void metrics_write(struct buf *out, const struct status *s);

/* Appends /status.json. */
void status_json_write(struct buf *out, const struct status *s);

#endif
