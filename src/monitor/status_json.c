#include "monitor/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/rfc3339.h"
#include "base/utf8.h"

enum { WINDOW_STEPS = 10 };

/* --- values --- */

/* As text: cJSON prints a number of more than 15 digits rounded. */
static void add_u64(cJSON *object, const char *key, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        cJSON_AddRawToObject(object, key, text);
}

/* Without a digit that nobody needs; below 0: null. */
static cJSON *new_number(double value)
{
        char text[40];

        if (value < 0)
                return cJSON_CreateNull();
        snprintf(text, sizeof(text), value < 100000 ? "%.6g" : "%.0f", value);
        return cJSON_CreateRaw(text);
}

static void add_number(cJSON *object, const char *key, double value)
{
        cJSON_AddItemToObject(object, key, new_number(value));
}

/* "" is null. What is not UTF-8, from a server's message maybe, is shown as "?". */
static void add_text(cJSON *object, const char *key, const char *text)
{
        char clean[1024];
        char *end;

        if (!text[0]) {
                cJSON_AddNullToObject(object, key);
                return;
        }
        snprintf(clean, sizeof(clean), "%s", text);
        end = clean + strlen(clean);
        for (char *p = clean; p < end;) {
                size_t n = (unsigned char)*p < 0x80 ? 1 : utf8_sequence(p, end);

                if (n == 0)
                        *p = '?';
                p += n ? n : 1;
        }
        cJSON_AddStringToObject(object, key, clean);
}

static void add_time(cJSON *object, const char *key, int64_t unix_us)
{
        char text[RFC3339_TEXT_BYTES];

        rfc3339_format(unix_us, text);
        cJSON_AddStringToObject(object, key, text);
}

static double age(uint64_t now_us, uint64_t then_us)
{
        return then_us > 0 && now_us > then_us ? (double)(now_us - then_us) / 1e6 : 0;
}

/* --- parts --- */

static void add_lines(cJSON *root, const struct stats *r)
{
        cJSON *lines = cJSON_AddObjectToObject(root, "lines");
        cJSON *rejects = cJSON_AddObjectToObject(root, "rejectsByCode");

        add_u64(lines, "received", r->lines);
        add_u64(lines, "stored", r->counts[LINE_STORED]);
        add_u64(lines, "duplicate", r->counts[LINE_DUPLICATE]);
        add_u64(lines, "rejected", r->counts[LINE_REJECTED]);
        add_u64(lines, "spooled", r->counts[LINE_SPOOLED]);
        add_u64(lines, "empty", r->counts[LINE_EMPTY]);
        add_u64(lines, "inFlight", r->in_flight);
        for (enum reject_code i = 0; i < REJECT_CODES; i++)
                add_u64(rejects, reject_code_name(i), r->rejects[i]);
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
        return seconds > 0 ? (double)(now - before) / seconds : 0;
}

static void add_rates(cJSON *root, const struct sample *now, const struct sample *before)
{
        cJSON *rates = cJSON_AddObjectToObject(root, "rates");
        double seconds = age(now->at_us, before->at_us);

        add_number(rates, "windowSeconds", WINDOW_STEPS);
        add_number(rates, "received", rate(now->received, before->received, seconds));
        add_number(rates, "stored", rate(now->stored, before->stored, seconds));
        add_number(rates, "duplicate", rate(now->duplicate, before->duplicate, seconds));
        add_number(rates, "rejected", rate(now->rejected, before->rejected, seconds));
        add_number(rates, "spooled", rate(now->spooled, before->spooled, seconds));
        add_number(rates, "bytes", rate(now->bytes, before->bytes, seconds));
}

/* A quantile is known to within its bucket, the longest time exactly. */
static double at_most(double seconds, uint64_t max_us)
{
        return seconds > (double)max_us / 1e6 ? (double)max_us / 1e6 : seconds;
}

static void add_ack_latency(cJSON *root, const struct history *h, const struct sample *now,
                            const struct sample *before)
{
        cJSON *latency = cJSON_AddObjectToObject(root, "ackLatencySeconds");
        struct histogram acks = histogram_since(&now->ack_latency, &before->ack_latency);
        uint64_t max_us = h->ack_max_us;

        for (size_t i = 0; i < WINDOW_STEPS && history_back(h, i) != before; i++) {
                if (max_us < history_back(h, i)->ack_max_us)
                        max_us = history_back(h, i)->ack_max_us;
        }
        add_number(latency, "windowSeconds", WINDOW_STEPS);
        add_number(latency, "p50", at_most(histogram_quantile(&acks, 0.5), max_us));
        add_number(latency, "p99", at_most(histogram_quantile(&acks, 0.99), max_us));
        add_number(latency, "max", acks.count > 0 ? (double)max_us / 1e6 : -1);
}

static void add_history(cJSON *root, const struct status *s)
{
        const struct history *h = s->history;
        cJSON *history = cJSON_AddObjectToObject(root, "history");
        uint64_t since_last = s->clock_us - history_back(h, 0)->at_us;
        cJSON *received;
        cJSON *stored;
        cJSON *rejected;
        cJSON *p50;
        cJSON *p99;

        add_number(history, "stepSeconds", 1);
        add_time(history, "end", s->now_us - (int64_t)since_last);
        received = cJSON_AddArrayToObject(history, "received");
        stored = cJSON_AddArrayToObject(history, "stored");
        rejected = cJSON_AddArrayToObject(history, "rejected");
        p50 = cJSON_AddArrayToObject(history, "ackP50");
        p99 = cJSON_AddArrayToObject(history, "ackP99");
        for (size_t back = history_len(h) - 1; back > 0; back--) {
                const struct sample *from = history_back(h, back);
                const struct sample *to = history_back(h, back - 1);
                double seconds = age(to->at_us, from->at_us);
                struct histogram acks = histogram_since(&to->ack_latency, &from->ack_latency);

                cJSON_AddItemToArray(received, new_number(rate(to->received, from->received, seconds)));
                cJSON_AddItemToArray(stored, new_number(rate(to->stored, from->stored, seconds)));
                cJSON_AddItemToArray(rejected, new_number(rate(to->rejected, from->rejected, seconds)));
                cJSON_AddItemToArray(p50, new_number(histogram_quantile(&acks, 0.5)));
                cJSON_AddItemToArray(p99, new_number(histogram_quantile(&acks, 0.99)));
        }
}

static void add_connection(cJSON *list, const struct stats_connection *c, uint64_t now_us)
{
        cJSON *o = cJSON_CreateObject();

        cJSON_AddItemToArray(list, o);
        add_u64(o, "number", c->number);
        add_u64(o, "worker", c->worker);
        add_text(o, "peer", c->peer);
        add_text(o, "client", c->client);
        add_text(o, "version", c->version);
        add_text(o, "section", c->section);
        add_u64(o, "lines", c->lines);
        add_u64(o, "stored", c->counts[LINE_STORED]);
        add_u64(o, "duplicate", c->counts[LINE_DUPLICATE]);
        add_u64(o, "rejected", c->counts[LINE_REJECTED]);
        add_u64(o, "spooled", c->counts[LINE_SPOOLED]);
        add_u64(o, "inFlight", c->in_flight);
        add_number(o, "lagSeconds", age(now_us, c->oldest_us));
        add_text(o, "paused", c->paused == PAUSE_NONE ? "" : pause_reason_name(c->paused));
        add_number(o, "connectedSeconds", age(now_us, c->connected_us));
        add_number(o, "idleSeconds", age(now_us, c->last_line_us));
}

static void add_connections(cJSON *root, const struct status *s)
{
        const struct stats *r = s->stats;
        cJSON *counts = cJSON_AddObjectToObject(root, "connectionCounts");
        cJSON *list = cJSON_AddArrayToObject(root, "connections");
        uint64_t paused = 0;
        uint64_t refused = 0;

        for (size_t i = 0; i < PAUSE_REASONS; i++)
                paused += r->paused[i];
        for (size_t i = 0; i < REFUSAL_REASONS; i++)
                refused += r->refused[i];
        add_u64(counts, "open", r->open);
        add_u64(counts, "paused", paused);
        add_u64(counts, "accepted", s->accepted);
        add_u64(counts, "refused", refused);
        add_u64(counts, "limit", s->connections_limit);
        for (size_t i = 0; i < r->connections_len; i++)
                add_connection(list, &r->connections[i], s->clock_us);
}

static void add_clients(cJSON *root, const struct stats *r)
{
        cJSON *list = cJSON_AddArrayToObject(root, "clients");

        for (size_t i = 0; i < r->sections_len; i++) {
                const struct rules_tally *t = &r->sections[i].tally;
                cJSON *o = cJSON_CreateObject();

                cJSON_AddItemToArray(list, o);
                add_text(o, "name", t->name);
                add_u64(o, "connections", t->connections);
                add_u64(o, "lines", t->lines);
                add_u64(o, "stored", t->counts[LINE_STORED]);
                add_u64(o, "duplicate", t->counts[LINE_DUPLICATE]);
                add_u64(o, "rejected", t->counts[LINE_REJECTED]);
                add_u64(o, "spooled", t->counts[LINE_SPOOLED]);
                add_u64(o, "heldBytes", t->held_bytes);
        }
}

static void add_database(cJSON *root, const struct status *s)
{
        const struct stats_database *d = &s->stats->database;
        cJSON *o = cJSON_AddObjectToObject(root, "database");

        add_text(o, "state", d->up ? "connected" : d->failed ? "away" : "connecting");
        add_u64(o, "connections", d->wanted);
        add_u64(o, "connected", d->connected);
        add_number(o, "awaySeconds", age(s->clock_us, d->away_us));
        add_u64(o, "reconnects", d->reconnects);
        add_text(o, "lastError", d->error);
}

static void add_stages(cJSON *root, const struct stats *r, const struct sample *now,
                       const struct sample *before)
{
        struct histogram commits = histogram_since(&now->commit, &before->commit);
        cJSON *batches = cJSON_AddObjectToObject(root, "batches");
        cJSON *cache = cJSON_AddObjectToObject(root, "cache");
        cJSON *memory = cJSON_AddObjectToObject(root, "memory");

        add_u64(batches, "written", r->batches);
        add_u64(batches, "rows", r->batch_rows);
        add_u64(batches, "targetRows", r->batch_target);
        add_number(batches, "gapSeconds", (double)r->batch_gap_us / 1e6);
        add_number(batches, "commitP50Seconds", histogram_quantile(&commits, 0.5));
        add_number(batches, "commitP99Seconds", histogram_quantile(&commits, 0.99));
        add_u64(cache, "objects", r->cache_objects);
        add_u64(cache, "limit", r->cache_limit);
        add_u64(cache, "hits", r->cache_hits);
        add_u64(cache, "misses", r->cache_misses);
        add_u64(memory, "usedBytes", r->memory_used);
        add_u64(memory, "limitBytes", r->memory_limit);
}

static const char *spool_state(const struct stats_spool *s)
{
        if (s->failing)
                return "failing";
        if (!s->diverting && s->lines == 0)
                return "empty";
        return s->advancing ? "draining" : "filling";
}

static void add_spool(cJSON *root, const struct status *s)
{
        const struct stats_spool *spool = &s->stats->spool;
        cJSON *o;

        if (!spool->on) {
                cJSON_AddNullToObject(root, "spool");
                return;
        }
        o = cJSON_AddObjectToObject(root, "spool");
        add_text(o, "state", spool_state(spool));
        add_u64(o, "lines", spool->lines);
        add_u64(o, "bytes", spool->bytes);
        add_u64(o, "maxBytes", spool->max_bytes);
        add_number(o, "oldestSeconds",
                   spool->oldest_us > 0 ? age((uint64_t)s->now_us, (uint64_t)spool->oldest_us) : -1);
}

static void add_latest(cJSON *root, const struct stats *r)
{
        cJSON *list = cJSON_AddArrayToObject(root, "latestRejects");

        for (size_t i = 0; i < r->latest_len; i++) {
                const struct stats_reject *reject = &r->latest[i];
                cJSON *o = cJSON_CreateObject();

                cJSON_AddItemToArray(list, o);
                add_time(o, "time", reject->time_us);
                add_u64(o, "connection", reject->connection);
                add_text(o, "peer", reject->peer);
                add_u64(o, "line", reject->line);
                add_u64(o, "times", reject->times);
                add_text(o, "code", reject_code_name(reject->reject.code));
                add_text(o, "field", reject->reject.field);
                add_text(o, "message", reject->reject.message);
        }
}

static void add_daemon(cJSON *root, const struct status *s)
{
        add_text(root, "version", s->version);
        add_u64(root, "pid", (uint64_t)s->pid);
        add_time(root, "startedAt", s->started_us);
        add_time(root, "now", s->now_us);
        add_number(root, "uptimeSeconds", age((uint64_t)s->now_us, (uint64_t)s->started_us));
        add_text(root, "state", s->draining ? "draining" : "running");
        cJSON_AddBoolToObject(root, "ready", !s->not_ready[0]);
        add_text(root, "notReadyReason", s->not_ready);
        add_u64(root, "workers", s->workers);
}

void status_json_write(struct buf *out, const struct status *s)
{
        const struct sample *before = history_back(s->history, WINDOW_STEPS);
        struct sample now = history_sample(s->stats);
        cJSON *root = cJSON_CreateObject();
        char *text;

        add_daemon(root, s);
        add_lines(root, s->stats);
        add_rates(root, &now, before);
        add_ack_latency(root, s->history, &now, before);
        add_history(root, s);
        add_connections(root, s);
        add_clients(root, s->stats);
        add_database(root, s);
        add_stages(root, s->stats, &now, before);
        add_spool(root, s);
        add_latest(root, s->stats);
        text = cJSON_PrintUnformatted(root);
        if (!text)
                abort();
        buf_put(out, text, strlen(text));
        cJSON_free(text);
        cJSON_Delete(root);
}
