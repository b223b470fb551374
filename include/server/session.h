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

/* One client: its lines in, its replies out. */

struct session;
struct sessions;
struct transport;
struct peer;

struct session_ops {
        /* A client has connected, and shown its certificate where it uses TLS: NULL, and s->client is set, or the word that
         * it is turned away with ("too_many_connections"). */
        const char *(*admit)(void *ctx, struct session *s);
        /* The rules have changed: sets s->client. NULL, or the word that the session is to end with. */
        const char *(*admit_again)(void *ctx, struct session *s);
        /* A session is gone: closed, and all its lines settled. */
        void (*on_gone)(void *ctx);
};

/* Where the lines go. */
struct session_sink_ops {
        /* A line that is not empty. Its fate is to be told with session_settle, once, now or later; until then @s stays.
         * @block holds the line's bytes. */
        void (*on_line)(void *ctx, struct session *s, uint64_t line_no, struct slice line,
                        struct block *block);
        /* The same for a line that was longer than max_line, and is gone. */
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
        SESSION_OPEN,      /* reading, or paused */
        SESSION_EOF,       /* the client shut down its sending side; its last lines are being settled */
        SESSION_LAST,      /* everything is said; it is being sent */
        SESSION_LINGERING, /* all sent; what the client still sends is thrown away until it closes, or a
                              second */
        SESSION_CLOSED,    /* no connection any more; lines may still be in flight */
        SESSION_STATES,
};

/* Which of the set's counts a session is in. */
enum session_place {
        PLACE_STRANGER, /* a TLS client that has not shown its certificate yet */
        PLACE_CLIENT,
        PLACE_REFUSED, /* it is turned away */
        PLACE_GONE,    /* closed */
        SESSION_PLACES
};

enum { SESSION_PEER_BYTES = 128 };

struct session {
        struct sessions *set;
        struct line_source line_source;
        struct list all;
        struct list waiting;
        struct list dirty;
        struct list stranger; /* in set->strangers while it is in that place */
        struct transport *io; /* NULL when it is closed */
        uint64_t number;      /* for people: the daemon's n-th connection */
        bool denied;          /* for admit */
        bool own;             /* the daemon's own client: it may write what those may for whom it sends */
        char peer
                [SESSION_PEER_BYTES]; /* for people: "uid 1000, pid 4711", "meta-sync (127.0.0.1 port 5000)" */
        struct hello hello;           /* what the client calls itself, made visible; "" for nothing */
        enum session_state state;
        enum session_place place;
        struct rules *client;      /* what it may write, by the rules of now; NULL: there are none */
        uint64_t source;           /* the host that it came from, as a number; 0 for this one */
        bool has_spoken;           /* bytes came from it */
        const char *refused;       /* the reason for which it is turned away; NULL: it is not */
        const char *closing;       /* in OPEN: it is to end with this word; NULL: it is not */
        bool client_ended;         /* the client has shut down its sending side */
        uint64_t last_line;        /* loop time in ms when one came, or the connection */
        uint64_t told;             /* likewise, when it was told an ack */
        uint64_t moved;            /* likewise, when it last read replies, as far as known */
        uint64_t progress;         /* transport_progress at that time */
        uint64_t unfinished_since; /* likewise, when its unfinished line began */
        bool speaks_json;          /* a line began as a record does: HTTP requests do not come any more */
        uint64_t connected_us;     /* clock_monotonic_us */
        uint64_t read_us;          /* the same when the block's last bytes came */

        struct received received;
        size_t counted; /* bytes that the memory limit counts, received ones left out */
        size_t notes;   /* of these, of replies and lines that are not acked */

        struct acks acks;
        uint64_t acked;           /* what the client was told */
        bool ack_told;            /* it was told anything: a client that sent no line gets an ack, too */
        uint64_t in_flight;       /* lines not settled */
        struct arrivals arrivals; /* by clock_monotonic_us */
        struct client_log_entry log;

        struct buf out; /* replies to send */
};

/* A client that has connected. */
struct session_socket {
        int fd; /* non-blocking */
        bool tcp;
        bool denied;     /* for admit: who may connect says no */
        bool own;        /* the daemon's own client */
        uint64_t number; /* for people: the daemon's n-th connection */
};

/* Takes over the descriptor; it is a session unless admit turns it away. 0 or a libuv error. */
int session_accept_take(struct sessions *set, const struct session_socket *socket);

/* Line @line_no of @s is settled; @reject is given for LINE_REJECTED only. The reply is sent, or @s freed
 * when its connection is gone, on the loop's next turn. */
void session_settle(struct session *s, uint64_t line_no, enum line_outcome outcome,
                    const struct reject *reject);

/* The client's first line says what it is called. */
void session_set_hello(struct session *s, const struct hello *hello);

/* One of its lines in flight will never be settled: no ack will cover it, nor any later line. Only while the
 * set is draining. */
void session_abandon(struct session *s);

/* --- for sessions --- */

/* Takes lines and reads on while there is room. */
void session_turn(struct session *s);

/* The end of a loop turn for a session with something to say. It may be freed. */
void session_flush(struct session *s);

/* Whether it has a reason of its own to wait no longer, where there is room for all. */
bool session_may_go_on(const struct session *s);

/* Ends a session whose client has sent no line for idle_ms, and owes nothing; and one whose client has read
 * nothing of its replies for so long. */
void session_end_idle(struct session *s);

/* Whether its client waits until others give up room for long lines; and ends one that has held some for long,
 * although it could have sent the line's end, where the room is @wanted. */
bool session_waits_for_memory(const struct session *s);
void session_end_unfinished(struct session *s, bool wanted);

/* The rules or the certificates have changed: asks admit_again if it is a client, and ends it if it is none any more. */
void session_admit_again(struct session *s);

/* What is known of its peer: see peers.h. To be deinitialised. */
void session_peer(const struct session *s, struct peer *ret);

/* The descriptor of a session that is not read from, whose end nobody would notice; else -1. */
int session_unwatched(const struct session *s);

/* Its client has closed, or vanished. What was received is still settled. */
void session_on_gone(struct session *s);

/* Of a client that is not read from: finds out in time whether it is still there. */
void session_probe(struct session *s);

/* Adds a client to @r's numbers and lists, as @detail says; worker number @worker has it. */
void session_stats(const struct session *s, struct stats *r, enum stats_detail detail, unsigned worker);

#endif
