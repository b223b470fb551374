#ifndef CLIENT_LOG_H
#define CLIENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "wire/line.h"
#include "wire/reject.h"

/* What clients cause, in the log, bounded over all connections of a worker: closed connections and refused lines
 * are logged one by one while there are few, the rest in sums. Never what stood in a line. */

enum {
        CLIENT_LOG_BURST = 50,       /* logged one by one at once */
        CLIENT_LOG_PER_SECOND = 5,   /* and in the long run */
        CLIENT_LOG_SINGLE = 3,       /* refused lines of one connection that are logged one by one */
        CLIENT_LOG_PAUSE_MS = 10000, /* between sums */
        CLIENT_LOG_FIELD_BYTES = 32,
        CLIENT_LOG_PEER_BYTES = 128,
};

/* Refused lines that were not logged one by one. */
struct client_log_rejects {
        uint64_t since_ms;
        uint64_t counts[REJECT_CODES];
        char fields[REJECT_CODES][CLIENT_LOG_FIELD_BYTES]; /* of the last one of each */
        uint64_t connections;                              /* that sent them */
        uint64_t connection;                               /* the last of these */
        char peer[CLIENT_LOG_PEER_BYTES];
};

/* Likewise, connections. */
struct client_log_closed {
        uint64_t since_ms;
        uint64_t connections;
        uint64_t lines;
        uint64_t counts[LINE_OUTCOMES];
        uint64_t in_flight;
};

/* How many may be logged one by one. */
struct client_log_bucket {
        uint64_t filled_ms;
        unsigned left;
};

struct client_log {
        uv_loop_t *loop;
        uv_timer_t timer; /* runs while there are sums to log */
        struct client_log_bucket reject_bucket;
        struct client_log_bucket close_bucket;
        uint64_t round; /* of sums; never 0 */
        struct client_log_rejects rejects;
        struct client_log_closed closed;
};

/* A connection's part, zeroed at first. */
struct client_log_entry {
        unsigned told;  /* refused lines that were logged one by one */
        uint64_t round; /* in which it was last counted among connections */
};

/* A connection's end. */
struct client_log_end {
        uint64_t lines;
        const uint64_t *counts; /* by enum line_outcome */
        uint64_t in_flight;
        const char *turned_away; /* the reason, NULL where it was not */
};

void client_log_init(struct client_log *l, uv_loop_t *loop);

/* Logs the sums. */
void client_log_flush(struct client_log *l);

/* The same, then closes its handle. */
void client_log_deinit(struct client_log *l);

void client_log_reject(struct client_log *l, struct client_log_entry *entry, const struct line_from *from,
                       const struct reject *reject);

/* @from: its line is not used. A connection that sent nothing is a health check, and no event. */
void client_log_close(struct client_log *l, const struct line_from *from, const struct client_log_end *end);

#endif
