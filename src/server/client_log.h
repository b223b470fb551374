#ifndef CLIENT_LOG_H
#define CLIENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "wire/line.h"
#include "wire/reject.h"

/* Log messages caused by clients, limited over all connections of a worker: closed connections and rejects
 * are logged individually while they are few, the rest in summaries. Never the contents of a line. */

enum {
        CLIENT_LOG_BURST = 50,       /* messages logged individually at once */
        CLIENT_LOG_PER_SECOND = 5,   /* and per second in the long run */
        CLIENT_LOG_SINGLE = 3,       /* rejects of one connection that are logged individually */
        CLIENT_LOG_PAUSE_MS = 10000, /* between summaries */
        CLIENT_LOG_FIELD_BYTES = 32,
        CLIENT_LOG_PEER_BYTES = 128,
};

/* Rejects that were not logged individually. */
struct client_log_rejects {
        uint64_t since_ms;
        uint64_t counts[REJECT_CODES];
        char fields[REJECT_CODES][CLIENT_LOG_FIELD_BYTES]; /* of the last reject with each code */
        uint64_t connections;                              /* number of connections that sent them */
        uint64_t connection;                               /* the last of these connections */
        char peer[CLIENT_LOG_PEER_BYTES];
};

/* Connections whose end was not logged individually. */
struct client_log_closed {
        uint64_t since_ms;
        uint64_t connections;
        uint64_t lines;
        uint64_t counts[LINE_OUTCOMES];
        uint64_t in_flight;
};

/* How many messages may still be logged individually. */
struct client_log_bucket {
        uint64_t filled_ms;
        unsigned left;
};

struct client_log {
        uv_loop_t *loop;
        uv_timer_t timer; /* runs while there are summaries to log */
        struct client_log_bucket reject_bucket;
        struct client_log_bucket close_bucket;
        uint64_t round; /* number of the summary; never 0 */
        struct client_log_rejects rejects;
        struct client_log_closed closed;
};

/* A connection's state, zeroed at first. */
struct client_log_entry {
        unsigned told;  /* rejects that were logged individually */
        uint64_t round; /* round in which the connection was last counted */
};

/* How a connection ended. */
struct client_log_end {
        uint64_t lines;
        const uint64_t *counts; /* by enum line_outcome */
        uint64_t in_flight;
        const char *turned_away; /* the reason, or NULL */
};

void client_log_init(struct client_log *l, uv_loop_t *loop);

/* Logs the summaries. */
void client_log_flush(struct client_log *l);

/* Logs the summaries, then closes its handle. */
void client_log_deinit(struct client_log *l);

void client_log_reject(struct client_log *l, struct client_log_entry *entry, const struct line_from *from,
                       const struct reject *reject);

/* @from: its line number is ignored. A connection that sent nothing is a health check and not logged. */
void client_log_close(struct client_log *l, const struct line_from *from, const struct client_log_end *end);

#endif
