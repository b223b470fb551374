#ifndef STATS_H
#define STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "wire/acks.h"
#include "wire/rules.h"
#include "wire/reject.h"

/* A worker's stats: plain copies, filled in its own thread, so no thread reads another's counters. Counters
 * count from the start. Times are clock_monotonic_us, which all threads share, and 0 for none, unless a
 * comment says otherwise. */

/* Why a session is paused: the word on the pages, also a label of a metric. */
#define PAUSE_MAP(X)                                                                                         \
        X(DATABASE, "database")             /* unavailable, or slower than the clients */                    \
        X(MEMORY, "memory")                 /* limits.memory_bytes is reached */                             \
        X(SPOOL, "spool")                   /* full, failing, or must be empty first */                      \
        X(REPLIES_UNREAD, "replies_unread") /* the client does not read its replies */                       \
        X(UNKNOWN_OBJECTS, "unknown_objects")                                                                \
        X(HIERARCHY, "hierarchy")       /* the client's hierarchy records are being written */               \
        X(BAD_ROWS, "bad_rows")         /* a bad row is searched for among the client's rows */              \
        X(CLIENT_LIMIT, "client_limit") /* of its section */

enum pause_reason {
#define X(name, text) PAUSE_##name,
        PAUSE_MAP(X)
#undef X
                PAUSE_REASONS,
        PAUSE_NONE = PAUSE_REASONS
};

const char *pause_reason_name(enum pause_reason reason);

/* Why a client was turned away: the code on the wire; "tls" if the TLS handshake failed. */
enum refusal_reason {
        REFUSED_NOT_ALLOWED,
        REFUSED_TOO_MANY,
        REFUSED_TLS,
        REFUSED_HTTP,
        REFUSED_TLS_HANDSHAKE,
        REFUSED_OTHER_PROTOCOL,
        REFUSAL_REASONS
};

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
        uint64_t number; /* number of the connection, counted from the daemon's start */
        unsigned worker; /* from 1 */
        char peer[STATS_PEER_BYTES];
        char client[STATS_CLIENT_BYTES]; /* as its hello names it; "" for none, here and below */
        char version[STATS_CLIENT_BYTES];
        uint64_t lines;                 /* received */
        uint64_t counts[LINE_OUTCOMES]; /* outcomes of the acked lines */
        uint64_t in_flight;             /* lines not yet acked */
        uint64_t oldest_us;             /* when the oldest unacked line was received */
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
        unsigned open; /* configured database connections */
};

struct stats_reject {
        int64_t time_us; /* microseconds since the Unix epoch */
        uint64_t connection;
        uint64_t line;  /* line number within that connection */
        uint64_t times; /* the same reject came so often; all above is of the last time */
        char peer[STATS_PEER_BYTES];
        struct reject reject;
};

struct stats_database {
        unsigned wanted;    /* configured database connections */
        unsigned connected; /* of these, connected */
        bool up;            /* lines can be stored */
        bool failed;        /* an attempt failed: unavailable, not just starting */
        uint64_t away_us;   /* since when lines cannot be stored */
        uint64_t lost;
        uint64_t failures; /* failed attempts to connect */
        uint64_t reconnects;
        char error[STATS_ERROR_BYTES]; /* the last error; "" if none since lines could last be stored */
};

struct stats_spool {
        bool on;
        bool diverting;
        bool advancing; /* replay makes progress */
        bool failing;
        uint64_t before; /* lines found in the spool at the start */
        uint64_t lines;
        uint64_t bytes;
        uint64_t max_bytes;
        uint64_t lost_lines;
        /* when the oldest spooled line was received, microseconds since the Unix epoch; 0 if the spool is
         * empty */
        int64_t oldest_us;
};

struct stats_reject_file {
        bool on;
        bool failing;
        uint64_t lost_lines;
};

/* How much detail is asked for. */
enum stats_detail {
        STATS_COUNTS, /* counters only */
        STATS_STEP,   /* also starts a new ack_max_us afterwards */
        STATS_LISTS,  /* as STATS_STEP, with connections and latest rejects */
};

struct stats {
        uint64_t taken_us; /* when the stats were filled */

        uint64_t lines;
        uint64_t bytes;
        uint64_t counts[LINE_OUTCOMES];
        uint64_t in_flight;
        uint64_t abandoned; /* unsettled when their session ended; lines = counts + in_flight + abandoned */
        uint64_t drained_counts[LINE_OUTCOMES];
        uint64_t rejects[REJECT_CODES];

        struct histogram ack_latency;
        uint64_t ack_max_us; /* the longest ack latency since the last stats with more than STATS_COUNTS */
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
        uint64_t oldest_us; /* of all sessions */

        struct stats_database database;
        struct stats_spool spool;
        struct stats_reject_file rejects_file; /* filled by the main thread */

        /* Counts by the name that a client gave in its hello line; names beyond the array count as unnamed. Empty for STATS_COUNTS. */
        struct stats_client clients[STATS_CLIENTS_MAX];
        size_t clients_len;

        /* Filled on request only; owned. */
        /* at most STATS_CONNECTIONS_MAX, those with the oldest lines first */
        struct stats_connection *connections;
        size_t connections_len;
        struct stats_section *sections; /* of each [client NAME] */
        size_t sections_len;
        struct stats_reject *latest; /* newest first, at most STATS_LATEST_MAX */
        size_t latest_len;
};

void stats_deinit(struct stats *r);

/* Adds @part, another worker's stats, to @sum, which is zeroed at first. Takes over the lists of @part. */
void stats_merge_take(struct stats *sum, struct stats *part);

/* Returns the earlier of two moments, where 0 is none. */
uint64_t stats_earlier(uint64_t a, uint64_t b);

/* Appends to r->connections, allocating it if needed. Keeps those with the oldest lines if there are too
 * many. */
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

/* Copies the ring to r->latest, allocating it. */
void stats_add_latest(struct stats *r, const struct reject_ring *ring);

#endif
