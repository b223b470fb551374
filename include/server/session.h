#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/memory.h"
#include "monitor/stats.h"
#include "server/arrivals.h"
#include "server/client_log.h"
#include "server/received.h"
#include "wire/acks.h"
#include "wire/hello.h"
#include "wire/rules.h"
#include "wire/line.h"
#include "wire/reply.h"

/* One client's connection: lines in, replies out. */

struct session;
struct sessions;
struct transport;
struct peer;

struct session_ops {
        /* A client has connected and, with TLS, shown its certificate. Sets s->client and returns NULL; or returns the code
         * with which the client is turned away ("too_many_connections"). */
        const char *(*admit)(void *ctx, struct session *s);
        /* The rules have changed. Sets s->client and returns NULL; or returns the code with which the session must end. */
        const char *(*admit_again)(void *ctx, struct session *s);
        /* A session has ended: closed, and all its lines settled. */
        void (*on_gone)(void *ctx);
};

/* Where the lines go. */
struct session_sink_ops {
        /* A line that is not empty. The owner calls session_settle exactly once, immediately or later; until
         * then @s exists. @block contains the line's bytes. */
        void (*on_line)(void *ctx, struct session *s, uint64_t line_no, struct slice line,
                        struct block *block);
        /* As on_line, for a line longer than max_line, whose bytes were dropped. */
        void (*on_too_long)(void *ctx, struct session *s, uint64_t line_no);
        /* The client has shut down its sending side, and all of its lines were taken. */
        void (*on_ended)(void *ctx, const struct session *s);
        /* Why no further line should be taken now: of any session, or with @s also of this one. PAUSE_NONE: one may be.
         * Asked again each loop turn. */
        enum pause_reason (*why_paused)(void *ctx, const struct session *s);
};

struct session_sink {
        const struct session_sink_ops *ops;
        void *ctx;
        struct memory *memory;    /* counts what sessions hold */
        struct line_tally *tally; /* of all their lines; the sink counts those in flight */
        bool with_spool;          /* acks say how many lines are spooled */
};

enum session_state {
        SESSION_OPEN, /* reading, or paused */
        SESSION_EOF,  /* the client shut down its sending side; its last lines are not settled yet */
        SESSION_LAST, /* the last replies are being sent */
        /* everything is sent; further input is discarded until the client closes, for at most a second */
        SESSION_LINGERING,
        SESSION_CLOSED, /* no connection any more; lines may still be in flight */
        SESSION_STATES,
};

/* The category in which the set counts a session. */
enum session_place {
        PLACE_STRANGER, /* a TLS client that has not shown its certificate yet */
        PLACE_CLIENT,
        PLACE_REFUSED, /* turned away */
        PLACE_GONE,    /* closed */
        SESSION_PLACES
};

/* What the daemon knows of a client when it accepts the connection. */
enum session_peer_kind {
        PEER_CLIENT,
        PEER_DENIED,    /* not in listen.allow_users/allow_groups: admit turns it away */
        PEER_OURSELVES, /* the daemon's own client: it may write what the senders of its lines may */
};

/* What the daemon has received from a client so far. */
enum session_heard {
        HEARD_NOTHING,
        HEARD_BYTES,
        HEARD_RECORD, /* a line that begins like a record: no other protocol is expected any more */
};

enum { SESSION_PEER_BYTES = 128 };

struct session {
        struct sessions *set;
        struct line_source line_source;
        struct list all;
        struct list waiting;
        struct list dirty;
        struct list stranger; /* member of set->strangers while in PLACE_STRANGER */
        struct transport *io; /* NULL once closed */
        uint64_t number;      /* number of the connection, counted from the daemon's start; for display */
        enum session_peer_kind peer_kind;
        char peer
                [SESSION_PEER_BYTES]; /* for people: "uid 1000, pid 4711", "meta-sync (127.0.0.1 port 5000)" */
        struct hello hello;           /* what the client calls itself, made visible; "" for nothing */
        enum session_state state;
        enum session_place place;
        struct rules *client; /* what it may write, by the current rules; NULL: there are none */
        uint64_t source;      /* number that identifies the remote host; 0: this machine */
        enum session_heard heard;
        const char *refused; /* the code with which it is turned away, or NULL */
        const char *closing; /* in OPEN: the code with which the session is to end, or NULL */
        bool client_ended;   /* the client has shut down its sending side */
        uint64_t last_line;  /* loop time in ms of the last line, or of the connection */
        uint64_t told;       /* loop time in ms at which it was last sent an ack */
        uint64_t moved;      /* loop time in ms at which the client last read replies, as far as known */
        uint64_t progress;   /* transport_progress at that time */
        uint64_t unfinished_since; /* loop time in ms at which its unfinished line began */
        uint64_t connected_us;     /* clock_monotonic_us */
        uint64_t read_us;          /* clock_monotonic_us of the block's last bytes */

        struct received received;
        size_t counted; /* bytes counted in the memory limit, besides received bytes */
        size_t notes;   /* part of counted: replies, and notes about unacked lines */
        size_t left;    /* part of sessions.left */

        struct acks acks;
        uint64_t acked;           /* lines acked to the client */
        bool ack_told;            /* an ack was sent: a client that sent no line gets one, too */
        uint64_t in_flight;       /* unsettled lines */
        struct arrivals arrivals; /* times by clock_monotonic_us */
        struct client_log_entry log;

        struct buf out; /* replies to be sent */
};

/* The socket of a client that has connected. */
struct session_socket {
        int fd; /* non-blocking */
        bool tcp;
        enum session_peer_kind peer_kind;
        uint64_t number; /* number of the connection, counted from the daemon's start; for display */
};

/* Takes over the descriptor and creates a session, unless admit turns it away. Returns 0 or a libuv error. */
int session_accept_take(struct sessions *set, const struct session_socket *socket);

/* Settles line @line_no of @s; @reject is set for LINE_REJECTED only. On the loop's next turn the reply is
 * sent or, if the connection is gone, @s is freed. */
void session_settle(struct session *s, uint64_t line_no, enum line_outcome outcome,
                    const struct reject *reject);

/* The client's first line says what it is called. */
void session_set_hello(struct session *s, const struct hello *hello);

/* A line in flight will never be settled: no ack will cover it or a later line. Only while stopping. */
void session_abandon(struct session *s);

/* --- for sessions --- */

/* Takes lines and continues reading as long as there is room. */
void session_turn(struct session *s);

/* End of a loop turn, for a session with replies to send. May free it. */
void session_flush(struct session *s);

/* True if nothing of its own keeps the session paused, given that there is room for all. */
bool session_may_go_on(const struct session *s);

/* Ends a session whose client has sent no line for idle_ms and has no unacked lines, or has read none of its
 * replies for that long. */
void session_end_idle(struct session *s);

/* True if its client waits for memory for long lines. If the memory is @wanted, ends a session that has held
 * some for long although its client could have finished the line. */
bool session_waits_for_memory(const struct session *s);
void session_end_unfinished(struct session *s, bool wanted);

/* The rules or the certificates have changed: asks admit_again if it is a client, and ends it if it is none any more. */
void session_admit_again(struct session *s);

/* Identifies its peer (peers.h). The caller deinitialises *ret. */
void session_peer(const struct session *s, struct peer *ret);

/* Returns the descriptor of a session that is not read from, so that its end would go unnoticed; otherwise
 * -1. */
int session_unwatched(const struct session *s);

/* The client has closed, or is gone. Received lines are still settled. */
void session_on_gone(struct session *s);

/* Checks in time whether the client is still there while it is not read from. */
void session_probe(struct session *s);

/* Adds a client to @r's numbers and lists, as @detail says; worker number @worker has it. */
void session_stats(const struct session *s, struct stats *r, enum stats_detail detail, unsigned worker);

#endif
