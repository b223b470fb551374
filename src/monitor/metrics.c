/* Prints each family once, after its HELP and TYPE. Only version and client names are foreign; they are escaped. */
#include "monitor/status.h"

#include <inttypes.h>

#include "base/log.h"
#include "monitor/expose.h"

#define PREFIX "boris_ingestd_"

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
        expose_family(out, name, "counter", help);
        expose(out, "%s %" PRIu64 "\n", name, value);
}

static void gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
        expose_family(out, name, "gauge", help);
        expose(out, "%s %" PRIu64 "\n", name, value);
}

static void seconds(struct buf *out, const char *name, const char *help, double value)
{
        expose_family(out, name, "gauge", help);
        expose(out, "%s %.6f\n", name, value);
}

static void labelled(struct buf *out, const char *name, const char *label, const char *word, uint64_t value)
{
        expose(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, value);
}

/* Only the bounds 1, 2.5 and 5 of each decade are exported. */
static bool is_told(size_t bound)
{
        size_t step = bound % HISTOGRAM_PER_DECADE;

        return step == 0 || step == 4 || step == 7;
}

static void histogram(struct buf *out, const char *name, const char *help, const struct histogram *h)
{
        uint64_t below = 0;

        expose_family(out, name, "histogram", help);
        for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
                below += h->buckets[i];
                if (is_told(i))
                        expose(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                               (double)histogram_bound_us(i) / 1e6, below);
        }
        expose(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, h->count);
        expose(out, "%s_sum %" PRIu64 ".%06" PRIu64 "\n", name, h->sum_us / 1000000, h->sum_us % 1000000);
        expose(out, "%s_count %" PRIu64 "\n", name, h->count);
}

/* Seconds since @then_us; 0 if @then_us is 0. */
static double age(uint64_t now_us, uint64_t then_us)
{
        return then_us > 0 && now_us > then_us ? (double)(now_us - then_us) / 1e6 : 0;
}

static void put_daemon(struct buf *out, const struct status *s)
{
        expose_family(out, PREFIX "build_info", "gauge", "Version of the running daemon.");
        expose(out, PREFIX "build_info{version=\"%s\"} 1\n", s->version);
        gauge(out, PREFIX "ready", "1 while lines can be stored or spooled.", !s->not_ready[0]);
        gauge(out, PREFIX "draining", "1 while the daemon is stopping.", s->draining);
        gauge(out, PREFIX "workers", "Event loops that receive lines, each in its own thread.", s->workers);
        seconds(out, PREFIX "worker_report_age_seconds", "Seconds since the slowest worker last answered.",
                age(s->clock_us, s->stats->taken_us));
        counter(out, PREFIX "http_requests_total", "Requests answered by the status server.",
                s->http_requests);
}

static void put_configuration(struct buf *out, const struct status *s)
{
        gauge(out, PREFIX "config_last_reload_successful",
              "0 if the last reload failed: older settings are in use.", !s->reload_failed);
        seconds(out, PREFIX "config_last_reload_success_timestamp_seconds",
                "When the settings in use were read, in seconds since the Unix epoch.",
                (double)s->configured_us / 1e6);
        if (s->expires_s != 0)
                seconds(out, PREFIX "tls_certificate_expires_seconds",
                        "Seconds until the earliest expiry in the certificate chain in use; negative after that.",
                        (double)s->expires_s - (double)s->now_us / 1e6);
        if (s->crl_expires_s != 0)
                seconds(out, PREFIX "tls_client_crl_expires_seconds",
                        "Seconds until the first revocation list in use expires, after which no client is admitted by it.",
                        (double)s->crl_expires_s - (double)s->now_us / 1e6);
}

static const char *const outcomes[] = {"stored", "duplicate", "rejected", "empty", "spooled"};

static void put_lines(struct buf *out, const struct stats *r, uint64_t now_us)
{
        const char *lines = PREFIX "lines_total";
        const char *rejects = PREFIX "rejects_total";

        counter(out, PREFIX "lines_received_total", "Lines that clients sent, empty ones included.",
                r->lines);
        counter(out, PREFIX "received_bytes_total", "Bytes that clients sent, after TLS.", r->bytes);
        expose_family(out, lines, "counter", "Settled lines of clients, by outcome.");
        for (size_t i = 0; i < LINE_OUTCOMES; i++)
                labelled(out, lines, "outcome", outcomes[i], r->counts[i]);
        gauge(out, PREFIX "lines_in_flight", "Lines received and not settled.", r->in_flight);
        expose_family(out, rejects, "counter",
                      "Rejected lines by reject code, replayed spool lines included.");
        for (enum reject_code i = 0; i < REJECT_CODES; i++)
                labelled(out, rejects, "code", reject_code_name(i), r->rejects[i]);
        histogram(out, PREFIX "ack_latency_seconds", "Time from receiving a line to its ack.",
                  &r->ack_latency);
        seconds(out, PREFIX "oldest_line_seconds", "Age of the oldest unacked line.",
                age(now_us, r->oldest_us));
}

/* A section's name needs no escaping. */
static void put_sections(struct buf *out, const struct stats *r)
{
        const char *connections = PREFIX "client_section_connections";
        const char *lines = PREFIX "client_lines_total";

        if (r->sections_len == 0)
                return;
        expose_family(out, connections, "gauge",
                      "Connections of the clients of each section; client: the section's name.");
        for (size_t i = 0; i < r->sections_len; i++)
                labelled(out, connections, "client", r->sections[i].tally.name,
                         r->sections[i].tally.connections);
        expose_family(
                out, lines, "counter",
                "Settled lines by outcome, replayed spool lines included; client: the name of the sender's section.");
        for (size_t i = 0; i < r->sections_len; i++) {
                for (size_t k = 0; k < LINE_OUTCOMES; k++)
                        expose(out, "%s{client=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", lines,
                               r->sections[i].tally.name, outcomes[k], r->sections[i].tally.counts[k]);
        }
}

static void put_stages(struct buf *out, const struct stats *r)
{
        const char *rows = PREFIX "rows_waiting";

        counter(out, PREFIX "batches_total", "Batches of spending written.", r->batches);
        counter(out, PREFIX "batch_rows_total", "Rows of the written batches.", r->batch_rows);
        counter(out, PREFIX "batch_failures_total", "Failed attempts to write a batch.", r->batch_failures);
        histogram(out, PREFIX "commit_seconds", "Time from handing a batch to the database to its commit.",
                  &r->commit);
        gauge(out, PREFIX "batches_waiting", "Full batches that no writer has taken yet.",
              r->batches_waiting);
        gauge(out, PREFIX "batch_target_rows", "Rows that one writer commits in about 50 ms: a full batch.",
              r->batch_target);
        seconds(out, PREFIX "batch_gap_seconds", "Shortest time between small commits, in which rows gather.",
                (double)r->batch_gap_us / 1e6);
        expose_family(out, rows, "gauge", "Rows that wait, by reason.");
        labelled(out, rows, "reason", "lookup", r->lookup_rows);
        labelled(out, rows, "reason", "unknown_object", r->unknown_rows);
        labelled(out, rows, "reason", "hierarchy", r->hierarchy_rows);
        labelled(out, rows, "reason", "bad_rows", r->bad_rows);
        counter(out, PREFIX "cache_hits_total", "Rows whose ad object was in the cache.", r->cache_hits);
        counter(out, PREFIX "cache_misses_total", "Rows whose ad object had to be looked up.",
                r->cache_misses);
        gauge(out, PREFIX "cache_objects", "Ad objects in the cache.", r->cache_objects);
        gauge(out, PREFIX "cache_objects_limit", "Maximum number of cached ad objects.", r->cache_limit);
        gauge(out, PREFIX "memory_used_bytes", "Memory held for clients.", r->memory_used);
        gauge(out, PREFIX "memory_limit_bytes", "Memory limit at which clients are paused.", r->memory_limit);
}

/* A name has no line's end: it was made visible. */
static void put_client(struct buf *out, const char *name, unsigned open)
{
        expose(out, PREFIX "client_connections{client=\"");
        for (const char *p = name; *p; p++)
                expose(out, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
        expose(out, "\"} %u\n", open);
}

static void put_clients(struct buf *out, const struct stats *r)
{
        expose_family(
                out, PREFIX "client_connections", "gauge",
                "Client connections; client: the name in the client's hello; clients without one are left out.");
        for (size_t i = 0; i < r->clients_len; i++)
                put_client(out, r->clients[i].name, r->clients[i].open);
}

static void put_connections(struct buf *out, const struct status *s)
{
        const struct stats *r = s->stats;
        const char *paused = PREFIX "connections_paused";
        const char *refused = PREFIX "connections_refused_total";

        gauge(out, PREFIX "connections", "Client connections.", r->open);
        gauge(out, PREFIX "connections_limit", "Maximum number of client connections.", s->connections_limit);
        expose_family(out, paused, "gauge", "Paused clients, by reason.");
        for (enum pause_reason i = 0; i < PAUSE_REASONS; i++)
                labelled(out, paused, "reason", pause_reason_name(i), r->paused[i]);
        counter(out, PREFIX "connections_accepted_total", "Accepted connections, those turned away included.",
                s->accepted);
        expose_family(out, refused, "counter", "Clients turned away, by reason.");
        for (enum refusal_reason i = 0; i < REFUSAL_REASONS; i++)
                labelled(out, refused, "reason", refusal_reason_name(i), r->refused[i]);
}

static void put_database(struct buf *out, const struct stats_database *d, uint64_t now_us)
{
        gauge(out, PREFIX "database_up", "1 while lines can be stored.", d->up);
        seconds(out, PREFIX "database_away_seconds", "Seconds since lines could last be stored.",
                age(now_us, d->away_us));
        gauge(out, PREFIX "database_connections", "Open database connections.", d->connected);
        gauge(out, PREFIX "database_connections_wanted", "Configured number of database connections.",
              d->wanted);
        counter(out, PREFIX "database_connections_lost_total",
                "Database connections that were lost or given up.", d->lost);
        counter(out, PREFIX "database_connect_failures_total", "Failed attempts to connect.", d->failures);
        counter(out, PREFIX "database_reconnects_total", "Successful reconnects.", d->reconnects);
}

static void put_files(struct buf *out, const struct stats *r, int64_t now_us)
{
        const struct stats_spool *s = &r->spool;

        if (s->on) {
                const char *drained = PREFIX "spool_drained_total";

                gauge(out, PREFIX "spool_lines", "Lines in the spool.", s->lines);
                gauge(out, PREFIX "spool_bytes", "Size of the spool.", s->bytes);
                gauge(out, PREFIX "spool_limit_bytes", "Maximum size of the spool.", s->max_bytes);
                seconds(out, PREFIX "spool_oldest_seconds", "Age of the oldest spooled line.",
                        age((uint64_t)now_us, (uint64_t)s->oldest_us));
                gauge(out, PREFIX "spool_diverting", "1 while lines go to the spool.", s->diverting);
                gauge(out, PREFIX "spool_failing", "1 while the spool is full or its disk fails.",
                      s->failing);
                counter(out, PREFIX "spool_lost_lines_total",
                        "Acked lines that are missing, or are in files that were damaged or set aside.",
                        s->lost_lines);
                expose_family(out, drained, "counter", "Replayed spool lines, by outcome.");
                labelled(out, drained, "outcome", "stored", r->drained_counts[LINE_STORED]);
                labelled(out, drained, "outcome", "duplicate", r->drained_counts[LINE_DUPLICATE]);
                labelled(out, drained, "outcome", "rejected", r->drained_counts[LINE_REJECTED]);
        }
        if (r->rejects_file.on) {
                counter(out, PREFIX "reject_file_lost_lines_total",
                        "Rejected lines that could not be recorded, or were removed by rotation.",
                        r->rejects_file.lost_lines);
                gauge(out, PREFIX "reject_file_failing", "1 while the reject file cannot be written.",
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

        seconds(out, "process_start_time_seconds", "Start time in seconds since the Unix epoch.",
                (double)s->started_us / 1e6);
        expose_family(out, "process_cpu_seconds_total", "counter", "User and system time of all threads.");
        expose(out, "process_cpu_seconds_total %.6f\n", p->cpu_seconds);
        gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.", p->resident_bytes);
        gauge(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", p->virtual_bytes);
        gauge(out, "process_open_fds", "Open file descriptors.", p->open_fds);
        gauge(out, "process_max_fds", "Maximum number of open file descriptors.", p->max_fds);
}

void metrics_write(struct buf *out, const struct status *s)
{
        put_daemon(out, s);
        put_configuration(out, s);
        put_lines(out, s->stats, s->clock_us);
        put_sections(out, s->stats);
        put_stages(out, s->stats);
        put_connections(out, s);
        put_clients(out, s->stats);
        put_database(out, &s->stats->database, s->clock_us);
        put_files(out, s->stats, s->now_us);
        put_log(out);
        put_process(out, s);
}
