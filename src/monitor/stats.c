#include "monitor/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

const char *pause_reason_name(enum pause_reason reason)
{
        static const char *const names[] = {
#define X(name, text) text,
                PAUSE_MAP(X)
#undef X
        };

        return names[reason];
}

const char *refusal_reason_name(enum refusal_reason reason)
{
        static const char *const names[] = {"not_allowed",  "too_many_connections", "tls",
                                            "http_request", "tls_handshake",        "other_protocol"};

        return names[reason];
}

static void *new_array(size_t len, size_t item_bytes)
{
        void *items = must_calloc(len, item_bytes);

        return items;
}

void stats_deinit(struct stats *r)
{
        free(r->connections);
        free(r->sections);
        free(r->latest);
        *r = (struct stats){0};
}

/* --- lists --- */

/* Sorts by the oldest unacked line; connections without one come last. */
static int compare_connections(const void *a, const void *b)
{
        const struct stats_connection *x = a;
        const struct stats_connection *y = b;
        uint64_t left = x->oldest_us - 1; /* 0, for none, becomes the largest */
        uint64_t right = y->oldest_us - 1;

        if (left != right)
                return left < right ? -1 : 1;
        return (x->number > y->number) - (x->number < y->number);
}

static void sort_connections(struct stats *r)
{
        if (r->connections_len > 1)
                qsort(r->connections, r->connections_len, sizeof(*r->connections), compare_connections);
        if (r->connections_len > STATS_CONNECTIONS_MAX)
                r->connections_len = STATS_CONNECTIONS_MAX;
}

void stats_add_connection(struct stats *r, const struct stats_connection *c)
{
        enum { ROOM = 2 * STATS_CONNECTIONS_MAX };

        if (!r->connections)
                r->connections = new_array(ROOM, sizeof(*r->connections));
        if (r->connections_len == ROOM)
                sort_connections(r);
        r->connections[r->connections_len++] = *c;
}

void stats_add_section(struct stats *r, const struct stats_section *c)
{
        size_t i = 0;

        while (i < r->sections_len && strcmp(r->sections[i].tally.name, c->tally.name) != 0)
                i++;
        if (i == r->sections_len) {
                r->sections = realloc(r->sections, (i + 1) * sizeof(*r->sections));
                if (!r->sections)
                        abort();
                r->sections[r->sections_len++] = *c;
                return;
        }
        r->sections[i].tally.connections += c->tally.connections;
        r->sections[i].tally.lines += c->tally.lines;
        r->sections[i].tally.held_bytes += c->tally.held_bytes;
        for (size_t k = 0; k < LINE_OUTCOMES; k++)
                r->sections[i].tally.counts[k] += c->tally.counts[k];
}

void stats_add_client(struct stats *r, const char *name, unsigned open)
{
        size_t i = 0;

        while (i < r->clients_len && strcmp(r->clients[i].name, name) != 0)
                i++;
        if (i == STATS_CLIENTS_MAX)
                return;
        if (i == r->clients_len)
                snprintf(r->clients[r->clients_len++].name, STATS_CLIENT_BYTES, "%s", name);
        r->clients[i].open += open;
}

static bool is_same(const struct reject *a, const struct reject *b)
{
        return a->code == b->code && strcmp(a->field, b->field) == 0 && strcmp(a->message, b->message) == 0;
}

/* The rank of the item to be used for @reject: its own, or that of the oldest. */
static size_t rank_for(struct reject_ring *ring, const struct reject *reject)
{
        for (size_t i = 0; i < ring->len; i++) {
                if (is_same(&ring->items[ring->order[i]].reject, reject))
                        return i;
        }
        if (ring->len == STATS_REJECTS_MAX)
                return ring->len - 1;
        ring->order[ring->len] = (uint8_t)ring->len;
        return ring->len++;
}

void reject_ring_add(struct reject_ring *ring, const char *peer, uint64_t connection, uint64_t line,
                     const struct reject *reject)
{
        size_t rank = rank_for(ring, reject);
        uint8_t place = ring->order[rank];
        struct stats_reject *item = &ring->items[place];

        memmove(ring->order + 1, ring->order, rank);
        ring->order[0] = place;
        if (item->times == 0 || !is_same(&item->reject, reject)) {
                item->times = 0;
                item->reject = *reject;
        }
        item->times++;
        item->time_us = clock_now_us();
        item->connection = connection;
        item->line = line;
        snprintf(item->peer, sizeof(item->peer), "%s", peer);
}

void stats_add_latest(struct stats *r, const struct reject_ring *ring)
{
        r->latest = new_array(STATS_REJECTS_MAX, sizeof(*r->latest));
        r->latest_len = ring->len;
        for (size_t i = 0; i < ring->len; i++)
                r->latest[i] = ring->items[ring->order[i]];
}

static int compare_rejects(const void *a, const void *b)
{
        const struct stats_reject *x = a;
        const struct stats_reject *y = b;

        return (x->time_us < y->time_us) - (x->time_us > y->time_us);
}

/* Workers reject for the same reasons. */
static size_t join_same(struct stats_reject *all, size_t len)
{
        size_t kept = 0;

        for (size_t i = 0; i < len; i++) {
                size_t same = 0;

                while (same < kept && !is_same(&all[same].reject, &all[i].reject))
                        same++;
                if (same == kept)
                        all[kept++] = all[i];
                else
                        all[same].times += all[i].times;
        }
        return kept;
}

static void merge_latest(struct stats *sum, const struct stats *part)
{
        size_t len = sum->latest_len + part->latest_len;
        struct stats_reject *all;

        if (len == 0)
                return;
        all = new_array(len, sizeof(*all));
        if (sum->latest_len > 0)
                memcpy(all, sum->latest, sum->latest_len * sizeof(*all));
        if (part->latest_len > 0)
                memcpy(all + sum->latest_len, part->latest, part->latest_len * sizeof(*all));
        qsort(all, len, sizeof(*all), compare_rejects);
        len = join_same(all, len);
        free(sum->latest);
        sum->latest = all;
        sum->latest_len = len < STATS_REJECTS_MAX ? len : STATS_REJECTS_MAX;
}

/* --- several workers' --- */

uint64_t stats_earlier(uint64_t a, uint64_t b)
{
        return a - 1 < b - 1 ? a : b;
}

static void add_counts(uint64_t *sum, const uint64_t *part, size_t len)
{
        for (size_t i = 0; i < len; i++)
                sum[i] += part[i];
}

static void merge_database(struct stats_database *sum, const struct stats_database *part)
{
        sum->wanted += part->wanted;
        sum->connected += part->connected;
        sum->up &= part->up;
        sum->failed |= part->failed;
        sum->away_us = stats_earlier(sum->away_us, part->away_us);
        sum->lost += part->lost;
        sum->failures += part->failures;
        sum->reconnects += part->reconnects;
        if (!sum->error[0])
                memcpy(sum->error, part->error, sizeof(sum->error));
}

static void merge_spool(struct stats_spool *sum, const struct stats_spool *part)
{
        sum->on |= part->on;
        sum->diverting |= part->diverting;
        sum->advancing |= part->advancing;
        sum->failing |= part->failing;
        sum->before += part->before;
        sum->lines += part->lines;
        sum->bytes += part->bytes;
        sum->max_bytes += part->max_bytes;
        sum->lost_lines += part->lost_lines;
        sum->oldest_us = (int64_t)stats_earlier((uint64_t)sum->oldest_us, (uint64_t)part->oldest_us);
}

static void merge_lines(struct stats *sum, const struct stats *part)
{
        sum->lines += part->lines;
        sum->bytes += part->bytes;
        sum->in_flight += part->in_flight;
        sum->abandoned += part->abandoned;
        add_counts(sum->counts, part->counts, LINE_OUTCOMES);
        add_counts(sum->drained_counts, part->drained_counts, LINE_OUTCOMES);
        add_counts(sum->rejects, part->rejects, REJECT_CODES);
        histogram_merge(&sum->ack_latency, &part->ack_latency);
        if (sum->ack_max_us < part->ack_max_us)
                sum->ack_max_us = part->ack_max_us;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

static void merge_stages(struct stats *sum, const struct stats *part)
{
        histogram_merge(&sum->commit, &part->commit);
        sum->batches += part->batches;
        sum->batch_rows += part->batch_rows;
        sum->batch_failures += part->batch_failures;
        sum->batches_waiting += part->batches_waiting;
        sum->batch_target = larger(sum->batch_target, part->batch_target);
        sum->batch_gap_us = larger(sum->batch_gap_us, part->batch_gap_us);
        sum->lookup_rows += part->lookup_rows;
        sum->unknown_rows += part->unknown_rows;
        sum->hierarchy_rows += part->hierarchy_rows;
        sum->bad_rows += part->bad_rows;
        sum->cache_hits += part->cache_hits;
        sum->cache_misses += part->cache_misses;
        sum->cache_objects += part->cache_objects;
        sum->cache_limit += part->cache_limit;
        sum->memory_used += part->memory_used;
        sum->memory_limit += part->memory_limit;
}

static void merge_connections(struct stats *sum, const struct stats *part)
{
        sum->open += part->open;
        for (size_t i = 0; i < PAUSE_REASONS; i++)
                sum->paused[i] += part->paused[i];
        add_counts(sum->refused, part->refused, REFUSAL_REASONS);
        sum->oldest_us = stats_earlier(sum->oldest_us, part->oldest_us);
        for (size_t i = 0; i < part->clients_len; i++)
                stats_add_client(sum, part->clients[i].name, part->clients[i].open);
        for (size_t i = 0; i < part->connections_len; i++)
                stats_add_connection(sum, &part->connections[i]);
        sort_connections(sum);
        for (size_t i = 0; i < part->sections_len; i++)
                stats_add_section(sum, &part->sections[i]);
}

void stats_merge_take(struct stats *sum, struct stats *part)
{
        if (sum->taken_us == 0) /* the first part */
                sum->database.up = true;
        sum->taken_us = stats_earlier(sum->taken_us, part->taken_us);
        merge_lines(sum, part);
        merge_stages(sum, part);
        merge_connections(sum, part);
        merge_database(&sum->database, &part->database);
        merge_spool(&sum->spool, &part->spool);
        merge_latest(sum, part);
        stats_deinit(part);
}
