#ifndef SESSIONS_H
#define SESSIONS_H

#include <stdbool.h>

#include <uv.h>

#include "base/histogram.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/stats.h"
#include "server/client_log.h"
#include "server/session.h"
#include "server/tls.h"

/* All clients of a worker: who gets a turn and when replies are sent, who is idle, and the end. */

/* TLS clients that have not shown their certificate yet, in each worker. */
enum { SESSIONS_STRANGERS_MAX = 1024 };

struct session_limits {
        size_t max_line;              /* bytes */
        unsigned idle_ms;             /* after so long without a whole line a session is ended; 0: never */
        const struct tls_server *tls; /* for TCP; its ctx is NULL where there is none, and may change */
};

struct sessions {
        uv_loop_t *loop;
        uv_prepare_t prepare; /* where each loop turn's replies are sent */
        uv_timer_t idle;      /* when idle sessions are looked for */
        uv_timer_t hangups;   /* when clients are looked for that are gone */
        const struct session_ops *ops;
        void *ctx;
        struct session_sink sink;
        struct memory *memory; /* the sink's */
        struct receiving receiving;
        size_t notes; /* bytes of replies, and of notes about lines that are not acked */
        unsigned idle_ms;
        struct list all;
        struct list
                waiting; /* those that stopped for want of room, in the order in which they get their turn */
        struct list dirty; /* those with something to say, or to be freed */
        struct list strangers;
        _Atomic unsigned places[SESSION_PLACES]; /* sessions in each. Other threads may read it. */
        bool draining;
        bool ending;                  /* nothing more is settled */
        const struct tls_server *tls; /* for TCP; its ctx is NULL where there is none */
        struct log_limit tls_failures;
        struct log_limit http_requests;
        struct client_log log;
        uint64_t lines; /* received since the start, by all */
        uint64_t empty; /* of these */
        uint64_t bytes; /* likewise, what TLS adds left out */
        uint64_t refusals[REFUSAL_REASONS];
        struct histogram ack_latency; /* of all acked lines */
        uint64_t ack_max_us;          /* the longest since the last report */
};

/* Connected clients, without those that are turned away, and TLS clients that have not shown their certificate
 * yet. May be called in any thread. */
static inline unsigned sessions_clients(const struct sessions *set)
{
        return set->places[PLACE_CLIENT];
}

void sessions_init(struct sessions *set, uv_loop_t *loop, const struct session_ops *ops, void *ctx,
                   const struct session_sink *sink, const struct session_limits *limits);

/* Changes session_limits.idle_ms. */
void sessions_set_idle(struct sessions *set, unsigned idle_ms);

/* The rules have changed, for open connections, too. */
void sessions_admit_again(struct sessions *set);

/* No session reads any more. Lines received are settled, then each client is told the last ack and
 * "shutdown". When on_gone has come for the last one, sessions_empty holds. */
void sessions_drain(struct sessions *set);

/* The process ends with lines in flight: each client is told, as far as its socket takes it at once, what is
 * settled, and "shutdown". */
void sessions_end_at_once(struct sessions *set);

static inline bool sessions_empty(const struct sessions *set)
{
        return list_empty(&set->all);
}

/* The set must be empty; its last handle closes on the loop's next turn. */
void sessions_deinit(struct sessions *set);

/* Adds what sessions know to @r; worker number @worker has them. */
void sessions_stats(struct sessions *set, struct stats *r, enum stats_detail detail, unsigned worker);

#endif
