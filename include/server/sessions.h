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
#include "wire/protocol.h"

/* All sessions of a worker: turns, the sending of replies, idle clients, stopping. */

/* Limit per worker of TLS clients that have not shown their certificate yet. */
enum { SESSIONS_STRANGERS_MAX = 1024 };

struct session_limits {
        size_t max_line;              /* bytes */
        unsigned idle_ms;             /* time without a whole line after which a session ends; 0: never */
        const struct tls_server *tls; /* for TCP; its ctx is NULL without TLS, and may change */
};

struct sessions {
        uv_loop_t *loop;
        uv_prepare_t prepare; /* sends each loop turn's replies */
        uv_timer_t idle;      /* for finding idle sessions */
        uv_timer_t hangups;   /* for finding clients that are gone */
        const struct session_ops *ops;
        void *ctx;
        struct session_sink sink;
        struct memory *memory; /* the sink's */
        struct receiving receiving;
        size_t notes; /* bytes of replies, and of notes about unacked lines */
        size_t left;  /* bytes of sessions whose client is gone and whose lines still wait for room */
        unsigned idle_ms;
        struct list all;
        struct list waiting; /* sessions that stopped for lack of room, in the order of their turns */
        struct list dirty;   /* sessions with replies to send, or to be freed */
        struct list strangers;
        _Atomic unsigned places[SESSION_PLACES]; /* sessions per place; other threads may read this */
        bool draining;
        bool ending;                  /* no more lines will be settled */
        const struct tls_server *tls; /* for TCP; its ctx is NULL without TLS */
        struct log_limit tls_failures;
        struct log_limit drops;              /* messages about lines of clients that are gone */
        struct log_limit foreign[PROTOCOLS]; /* clients that speak another protocol */
        struct client_log log;
        uint64_t lines; /* received since the start, in all sessions */
        uint64_t empty; /* empty lines among these */
        uint64_t bytes; /* received since the start, without the overhead of TLS */
        uint64_t refusals[REFUSAL_REASONS];
        struct histogram ack_latency; /* of all acked lines */
        uint64_t ack_max_us;          /* the longest latency since the last stats */
};

/* Number of connected clients, without clients that are turned away and TLS clients that have not shown
 * their certificate. May be called in any thread. */
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

/* Stops reading. Received lines are settled, then each client gets the last ack and "shutdown". After
 * on_gone for the last session, sessions_empty is true. */
void sessions_drain(struct sessions *set);

/* The process exits with lines in flight: each client gets an ack of what is settled, and "shutdown", as far
 * as its socket accepts them immediately. */
void sessions_end_at_once(struct sessions *set);

static inline bool sessions_empty(const struct sessions *set)
{
        return list_empty(&set->all);
}

/* The set must be empty; its last handle closes on the loop's next turn. */
void sessions_deinit(struct sessions *set);

/* Adds the sessions' numbers to @r; worker number @worker has them. */
void sessions_stats(struct sessions *set, struct stats *r, enum stats_detail detail, unsigned worker);

#endif
