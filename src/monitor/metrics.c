/* https://prometheus.io/docs/instrumenting/exposition_formats/ Each family once, with HELP and TYPE before
 * it; no label's value needs escaping: all are words of ours, but the version. */
#include "monitor/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

#define PREFIX "boris_ingestd_"

static void __attribute__((format(printf, 2, 3))) put(struct buf *out, const char *fmt, ...)
{
        enum { ROOM = 512 };
        va_list args;
        int len;

        va_start(args, fmt);
        len = vsnprintf(buf_reserve(out, ROOM), ROOM, fmt, args);
        va_end(args);
        out->len += len < ROOM ? (size_t)len : ROOM - 1;
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
        put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
        family(out, name, "counter", help);
        put(out, "%s %" PRIu64 "\n", name, value);
}

static void gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
        family(out, name, "gauge", help);
        put(out, "%s %" PRIu64 "\n", name, value);
}

static void seconds(struct buf *out, const char *name, const char *help, double value)
{
        family(out, name, "gauge", help);
        put(out, "%s %.6f\n", name, value);
}

static void labelled(struct buf *out, const char *name, const char *label, const char *word, uint64_t value)
{
        put(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, value);
}

/* Every third or fourth of the bounds: 1, 2.5 and 5 of each decade. */
static bool is_told(size_t bound)
{
        size_t step = bound % HISTOGRAM_PER_DECADE;

        return step == 0 || step == 4 || step == 7;
}

static void histogram(struct buf *out, const char *name, const char *help, const struct histogram *h)
{
        uint64_t below = 0;

        family(out, name, "histogram", help);
        for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
                below += h->buckets[i];
                if (is_told(i))
                        put(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                            (double)histogram_bound_us(i) / 1e6, below);
        }
        put(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, h->count);
        put(out, "%s_sum %" PRIu64 ".%06" PRIu64 "\n", name, h->sum_us / 1000000, h->sum_us % 1000000);
        put(out, "%s_count %" PRIu64 "\n", name, h->count);
}

/* How long ago that was, 0 for a moment that never was. */
static double age(uint64_t now_us, uint64_t then_us)
{
        return then_us > 0 && now_us > then_us ? (double)(now_us - then_us) / 1e6 : 0;
}

static void put_daemon(struct buf *out, const struct status *s)
{
        family(out, PREFIX "build_info", "gauge", "The version that runs.");
        put(out, PREFIX "build_info{version=\"%s\"} 1\n", s->version);
        gauge(out, PREFIX "ready", "Whether lines can be taken and stored, or spooled.", !s->not_ready[0]);
        gauge(out, PREFIX "draining", "Whether the daemon is stopping.", s->draining);
        gauge(out, PREFIX "workers", "Threads that take lines.", s->workers);
        seconds(out, PREFIX "worker_report_age_seconds", "Since when the slowest worker has not answered.",
                age(s->clock_us, s->stats->taken_us));
        counter(out, PREFIX "http_requests_total", "Requests answered here.", s->http_requests);
}

static void put_lines(struct buf *out, const struct stats *r, uint64_t now_us)
{
        static const char *const outcomes[] = {"stored", "duplicate", "rejected", "empty", "spooled"};
        const char *lines = PREFIX "lines_total";
        const char *rejects = PREFIX "rejects_total";

        counter(out, PREFIX "lines_received_total", "Lines that clients sent.", r->lines);
        counter(out, PREFIX "received_bytes_total", "Bytes that clients sent, after TLS.", r->bytes);
        family(out, lines, "counter", "Lines of clients that are settled, by what became of them.");
        for (size_t i = 0; i < LINE_OUTCOMES; i++)
                labelled(out, lines, "outcome", outcomes[i], r->counts[i]);
        gauge(out, PREFIX "lines_in_flight", "Lines received and not settled.", r->in_flight);
        family(out, rejects, "counter", "Lines refused, by the reason, those out of the spool, too.");
        for (enum reject_code i = 0; i < REJECT_CODES; i++)
                labelled(out, rejects, "code", reject_code_name(i), r->rejects[i]);
        histogram(out, PREFIX "ack_latency_seconds", "From a line's receipt to its ack.", &r->ack_latency);
        seconds(out, PREFIX "oldest_line_seconds", "Age of the oldest line that is not acked.",
                age(now_us, r->oldest_us));
}

static void put_stages(struct buf *out, const struct stats *r)
{
        const char *rows = PREFIX "rows_waiting";

        counter(out, PREFIX "batches_total", "Batches of spending that were written.", r->batches);
        counter(out, PREFIX "batch_rows_total", "Rows of these batches.", r->batch_rows);
        counter(out, PREFIX "batch_failures_total", "Tries to write a batch that failed.", r->batch_failures);
        histogram(out, PREFIX "commit_seconds", "From handing a batch to the database to its commit.",
                  &r->commit);
        gauge(out, PREFIX "batches_waiting", "Sealed batches that no writer has taken yet.",
              r->batches_waiting);
        family(out, rows, "gauge", "Rows that wait for something.");
        labelled(out, rows, "reason", "lookup", r->lookup_rows);
        labelled(out, rows, "reason", "unknown_object", r->unknown_rows);
        labelled(out, rows, "reason", "hierarchy", r->hierarchy_rows);
        labelled(out, rows, "reason", "bad_rows", r->bad_rows);
        counter(out, PREFIX "cache_hits_total", "Rows whose ad object was remembered.", r->cache_hits);
        counter(out, PREFIX "cache_misses_total", "Rows whose ad object had to be looked up.",
                r->cache_misses);
        gauge(out, PREFIX "cache_objects", "Ad objects remembered.", r->cache_objects);
        gauge(out, PREFIX "cache_objects_limit", "How many can be remembered.", r->cache_limit);
        gauge(out, PREFIX "memory_used_bytes", "Held for clients.", r->memory_used);
        gauge(out, PREFIX "memory_limit_bytes", "When so much is held clients are paused.", r->memory_limit);
}

static void put_connections(struct buf *out, const struct status *s)
{
        const struct stats *r = s->stats;
        const char *paused = PREFIX "connections_paused";
        const char *refused = PREFIX "connections_refused_total";

        gauge(out, PREFIX "connections", "Clients.", r->open);
        gauge(out, PREFIX "connections_limit", "As many are let in.", s->connections_limit);
        family(out, paused, "gauge", "Clients that are not read from now, by the reason.");
        for (enum pause_reason i = 0; i < PAUSE_REASONS; i++)
                labelled(out, paused, "reason", pause_reason_name(i), r->paused[i]);
        counter(out, PREFIX "connections_accepted_total", "Connections, those that were turned away, too.",
                s->accepted);
        family(out, refused, "counter", "Connections that were turned away.");
        for (enum refusal_reason i = 0; i < REFUSAL_REASONS; i++)
                labelled(out, refused, "reason", refusal_reason_name(i), r->refused[i]);
}

static void put_database(struct buf *out, const struct stats_database *d, uint64_t now_us)
{
        gauge(out, PREFIX "database_up", "Whether lines can be stored.", d->up);
        seconds(out, PREFIX "database_away_seconds", "Since when they cannot.", age(now_us, d->away_us));
        gauge(out, PREFIX "database_connections", "Connections to the database.", d->connected);
        gauge(out, PREFIX "database_connections_wanted", "As many there should be.", d->wanted);
        counter(out, PREFIX "database_connections_lost_total", "Connections that were lost or given up.",
                d->lost);
        counter(out, PREFIX "database_connect_failures_total", "Attempts to connect that failed.",
                d->failures);
        counter(out, PREFIX "database_reconnects_total", "Connections made anew.", d->reconnects);
}

static void put_files(struct buf *out, const struct stats *r, int64_t now_us)
{
        const struct stats_spool *s = &r->spool;

        if (s->on) {
                const char *drained = PREFIX "spool_drained_total";

                gauge(out, PREFIX "spool_lines", "Lines in the spool.", s->lines);
                gauge(out, PREFIX "spool_bytes", "Bytes of these lines.", s->bytes);
                gauge(out, PREFIX "spool_limit_bytes", "How large its file may grow.", s->max_bytes);
                seconds(out, PREFIX "spool_oldest_seconds", "Since when its oldest line lies there.",
                        age((uint64_t)now_us, (uint64_t)s->oldest_us));
                gauge(out, PREFIX "spool_diverting", "Whether lines go into the spool now.", s->diverting);
                gauge(out, PREFIX "spool_failing", "Whether it is full, or its disk fails.", s->failing);
                counter(out, PREFIX "spool_lost_lines_total",
                        "Lines in files that were damaged or set aside.", s->lost_lines);
                family(out, drained, "counter", "What became of lines that lay in the spool.");
                labelled(out, drained, "outcome", "stored", r->drained_counts[LINE_STORED]);
                labelled(out, drained, "outcome", "duplicate", r->drained_counts[LINE_DUPLICATE]);
                labelled(out, drained, "outcome", "rejected", r->drained_counts[LINE_REJECTED]);
        }
        if (r->rejects_file.on) {
                counter(out, PREFIX "reject_file_lost_lines_total",
                        "Refused lines that are not in the reject file.", r->rejects_file.lost_lines);
                gauge(out, PREFIX "reject_file_failing", "Whether it cannot be written.",
                      r->rejects_file.failing);
        }
}

static void put_log(struct buf *out)
{
        counter(out, PREFIX "log_dropped_total",
                "Log messages that were dropped, since standard error was not read in time.", log_dropped());
}

static void put_process(struct buf *out, const struct status *s)
{
        const struct process_stats *p = s->process;

        seconds(out, "process_start_time_seconds", "When it was started, since the Unix epoch.",
                (double)s->started_us / 1e6);
        family(out, "process_cpu_seconds_total", "counter", "User and system time of all threads.");
        put(out, "process_cpu_seconds_total %.6f\n", p->cpu_seconds);
        gauge(out, "process_resident_memory_bytes", "Memory in use.", p->resident_bytes);
        gauge(out, "process_virtual_memory_bytes", "Addresses in use.", p->virtual_bytes);
        gauge(out, "process_open_fds", "Open descriptors.", p->open_fds);
        gauge(out, "process_max_fds", "As many may be open.", p->max_fds);
}

void metrics_write(struct buf *out, const struct status *s)
{
        put_daemon(out, s);
        put_lines(out, s->stats, s->clock_us);
        put_stages(out, s->stats);
        put_connections(out, s);
        put_database(out, &s->stats->database, s->clock_us);
        put_files(out, s->stats, s->now_us);
        put_log(out);
        put_process(out, s);
}
