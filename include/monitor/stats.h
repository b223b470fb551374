#ifndef STATS_H
#define STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "wire/acks.h"
#include "wire/rules.h"
#include "wire/reject.h"

/* What a worker tells about itself: plain copies, filled in its own thread, so that no thread counts in
 * another's memory. Counters are since the start. Times are of clock_monotonic_us, 0 for none,
 * where it does not say otherwise; that clock is the same for all threads. */

/* Why a session takes no lines now: the word on the pages, also a metric's label. */
#define PAUSE_MAP(X)                                                                                         \
        X(DATABASE, "database")             /* it is away, or slower than the clients */                     \
        X(MEMORY, "memory")                 /* limits.memory_bytes */                                        \
        X(SPOOL, "spool")                   /* it is full, fails, or is to become empty first */             \
        X(REPLIES_UNREAD, "replies_unread") /* by this client */                                             \
        X(UNKNOWN_OBJECTS, "unknown_objects")                                                                \
        X(HIERARCHY, "hierarchy")       /* its records are being written */                                  \
        X(BAD_ROWS, "bad_rows")         /* are looked for in what it sent */                                 \
        X(CLIENT_LIMIT, "client_limit") /* of its section */

enum pause_reason {
#define X(name, text) PAUSE_##name,
        PAUSE_MAP(X)
#undef X
                PAUSE_REASONS,
        PAUSE_NONE = PAUSE_REASONS
};

const char *pause_reason_name(enum pause_reason reason);

/* Why a client was turned away: the word on the wire, or "tls", where it learns of it otherwise. */
enum refusal_reason { REFUSED_NOT_ALLOWED, REFUSED_TOO_MANY, REFUSED_TLS, REFUSED_HTTP, REFUSAL_REASONS };

const char *refusal_reason_name(enum refusal_reason reason);

enum {
        STATS_PEER_BYTES = 128,
        STATS_CLIENT_BYTES = 65,
        STATS_CLIENTS_MAX = 32,
        STATS_ERROR_BYTES = 512,
        STATS_CONNECTIONS_MAX = 200,
        STATS_REJECTS_MAX = 50,
};

struct stats_connection {
        uint64_t number; /* the daemon's n-th */
        unsigned worker; /* from 1 */
        char peer[STATS_PEER_BYTES];
        char client[STATS_CLIENT_BYTES]; /* as its hello names it; "" for none, here and below */
        char version[STATS_CLIENT_BYTES];
        uint64_t lines;                 /* received */
        uint64_t counts[LINE_OUTCOMES]; /* of those that are acked */
        uint64_t in_flight;             /* those that are not */
        uint64_t oldest_us;             /* when the oldest line was received that is not acked */
        uint64_t connected_us;
        uint64_t last_line_us;
        enum pause_reason paused;
        char section[CLIENT_NAME_BYTES]; /* the name of its [client NAME]; "" for none */
};

/* What the clients of a section did. */
struct stats_section {
        struct rules_tally tally; /* without its next */
};

/* Clients that share a name. */
struct stats_client {
        char name[STATS_CLIENT_BYTES];
        unsigned open; /* connections */
};

struct stats_reject {
        int64_t time_us; /* since the Unix epoch */
        uint64_t connection;
        uint64_t line;  /* of that connection */
        uint64_t times; /* the same reject came so often; all above is of the last time */
        char peer[STATS_PEER_BYTES];
        struct reject reject;
};

struct stats_database {
        unsigned wanted;    /* connections */
        unsigned connected; /* of these */
        bool up;            /* lines can be stored */
        bool failed;        /* some attempt was not successful: it is away, not just beginning */
        uint64_t away_us;   /* since when it is not up */
        uint64_t lost;
        uint64_t failures; /* attempts to connect */
        uint64_t reconnects;
        char error[STATS_ERROR_BYTES]; /* the last one, "" where there was none since it was up */
};

struct stats_spool {
        bool on;
        bool diverting;
        bool advancing; /* it gets emptier */
        bool failing;
        uint64_t before; /* lay there at the start */
        uint64_t lines;
        uint64_t bytes;
        uint64_t max_bytes;
        uint64_t lost_lines;
        int64_t oldest_us; /* since the Unix epoch, when its oldest line was received; 0 where it is empty */
};

struct stats_reject_file {
        bool on;
        bool failing;
        uint64_t lost_lines;
};

/* How much a report is to tell. */
enum stats_detail {
        STATS_COUNTS, /* for who is not the monitor */
        STATS_STEP,   /* the next ack_max_us begins with this report */
        STATS_LISTS,  /* the same, with connections and latest rejects */
};

struct stats {
        uint64_t taken_us; /* when it was filled */

        uint64_t lines;
        uint64_t bytes;
        uint64_t counts[LINE_OUTCOMES];
        uint64_t in_flight;
        uint64_t abandoned; /* left unsettled at the end; lines is the sum of counts, in_flight and these */
        uint64_t drained_counts[LINE_OUTCOMES];
        uint64_t rejects[REJECT_CODES];

        struct histogram ack_latency;
        uint64_t ack_max_us; /* the longest since the last report of more than STATS_COUNTS */
        struct histogram commit;
        uint64_t batches;
        uint64_t batch_rows;
        uint64_t batch_failures;
        uint64_t batches_waiting;
        uint64_t batch_target; /* rows that a batch should have; of all workers the largest, here and below */
        uint64_t batch_gap_us; /* between small commits at least */
        uint64_t lookup_rows;
        uint64_t unknown_rows;
        uint64_t hierarchy_rows;
        uint64_t bad_rows;

        uint64_t cache_hits;
        uint64_t cache_misses;
        uint64_t cache_objects;
        uint64_t cache_limit;

        uint64_t memory_used;
        uint64_t memory_limit;

        unsigned open;
        unsigned paused[PAUSE_REASONS];
        uint64_t refused[REFUSAL_REASONS];
        uint64_t oldest_us; /* of all connections */

        struct stats_database database;
        struct stats_spool spool;
        struct stats_reject_file rejects_file; /* the main thread's to fill */

        /* By the names that clients gave; those that found no room count as unnamed. Only where it is told more than counts. */
        struct stats_client clients[STATS_CLIENTS_MAX];
        size_t clients_len;

        /* Only where they were asked for; owned. */
        struct stats_connection *connections; /* those with the oldest lines first, and at most so many */
        size_t connections_len;
        struct stats_section *sections; /* of each [client NAME] */
        size_t sections_len;
        struct stats_reject *latest; /* newest first, at most so many */
        size_t latest_len;
};

void stats_deinit(struct stats *r);

/* Adds @part, of another worker, to @sum, which is zeroed at first. The lists of @part are taken over, too.
 */
void stats_merge_take(struct stats *sum, struct stats *part);

/* Of two moments the earlier one, where 0 is none. */
uint64_t stats_earlier(uint64_t a, uint64_t b);

/* Adds to r->connections, which it makes. Those with the oldest lines stay where there are too many. */
void stats_add_connection(struct stats *r, const struct stats_connection *c);

/* Counts @open more connections of clients called @name. */
void stats_add_client(struct stats *r, const char *name, unsigned open);

/* Adds to r->sections, which it makes. */
void stats_add_section(struct stats *r, const struct stats_section *c);

/* The latest rejects of a worker, each once however often it came. Zeroed at first. */
struct reject_ring {
        struct stats_reject items[STATS_REJECTS_MAX];
        uint8_t order[STATS_REJECTS_MAX]; /* their places, newest first */
        size_t len;
};

void reject_ring_add(struct reject_ring *ring, const char *peer, uint64_t connection, uint64_t line,
                     const struct reject *reject);

/* Copies them to r->latest, which it makes. */
void stats_add_latest(struct stats *r, const struct reject_ring *ring);

#endif
