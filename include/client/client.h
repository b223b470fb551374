#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "client/connect.h"

/* A blocking client of the wire: sends lines, receives rejects and acks, and resends unacked lines after a
 * connection broke. */

struct client_counts {
        /* settled on all connections, as the other counts; those in no other count were empty */
        uint64_t lines;
        uint64_t stored;
        uint64_t duplicate;
        uint64_t rejected;
        uint64_t spooled;
};

/* A line that is finally rejected: an ack covers it. */
struct client_reject {
        uint64_t line; /* from 1, among all lines sent */
        const char *code;
        const char *field; /* "" for none */
        const char *message;
        void *owner; /* of the texts above */
};

enum client_input { CLIENT_INPUT_MORE, CLIENT_INPUT_END, CLIENT_INPUT_FAILED };

struct client_ops {
        /* Appends more of the input to @out, cut anywhere; blocks no longer than reading a file does. */
        enum client_input (*read)(void *ctx, struct buf *out);
        /* Called in line order. */
        void (*on_reject)(void *ctx, const struct client_reject *reject);
        /* The connection failed, see client->error; the next attempt follows in @pause_ms. @anonymous
         * unacked lines, from line @first on, have neither id nor collectedAt. If the daemon did store them,
         * resending stores them twice. */
        void (*on_trouble)(void *ctx, int pause_ms, uint64_t anonymous, uint64_t first);
        /* Called after every change, and at least every turn_ms. */
        void (*on_turn)(void *ctx);
        /* May be NULL. Called with @fd of each new connection before anything is sent, and with -1 before
         * the connection is closed. */
        void (*on_connection)(void *ctx, int fd);
};

struct client_options {
        const char *path;    /* path of the Unix socket; NULL: use tcp */
        const char *tcp;     /* host:port */
        int64_t retry_ms;    /* give up after this time without progress */
        bool retry_at_first; /* also if there was no connection yet */
        int input_fd;        /* polled before read is called; -1: input is always available */
        int stop_fd;         /* once readable, no more lines are sent; -1: none */
        int turn_ms;         /* -1: never */
        int connect_ms;      /* limit for establishing a connection; 0: 10 s */
        const char *hello;   /* the first line of each connection, with its line feed; NULL: none */
};

enum client_end {
        CLIENT_DONE,     /* every line is settled */
        CLIENT_STOPPED,  /* stopped on request: the lines sent are settled if there was a connection */
        CLIENT_NO_INPUT, /* read failed: as CLIENT_STOPPED */
        CLIENT_FAILED,   /* see error */
};

struct client {
        struct client_options options;
        const struct client_ops *ops;
        void *ctx;

        struct client_counts counts;
        struct client_counts before; /* counts at the beginning of this connection */
        uint64_t bytes;              /* settled bytes */
        unsigned connections;
        bool connected;
        char error[CONNECT_ERROR_BYTES]; /* of the last connection, printable */

        /* first..sent: sent, unsettled; ..whole: lines to send; ..len: the beginning of a line */
        struct buf window;
        size_t first;
        size_t sent;
        size_t reached; /* sent on any connection: the daemon may still work on what an earlier one had */
        size_t whole;
        size_t lines; /* from first to whole */
        enum client_input input;
        bool stopped;

        int fd;
        size_t hello_sent; /* bytes of options.hello sent on this connection */
        bool half_closed;
        bool hopeless;                 /* another attempt would fail the same way */
        struct buf replies;            /* a reply without its end */
        struct client_reject *rejects; /* not yet covered by an ack */
        size_t rejects_len;
        size_t rejects_cap;
};

void client_init(struct client *c, const struct client_options *options, const struct client_ops *ops,
                 void *ctx);

void client_deinit(struct client *c);

/* Sends all lines; returns when that is finished or failed. */
enum client_end client_run(struct client *c);

/* True if the client was stopped, and every line that it sent, on any connection, is settled. */
static inline bool client_settled(const struct client *c)
{
        return c->stopped && c->first == c->whole && c->reached <= c->first;
}

/* To be called in a callback: nothing more is sent or read, and client_run returns CLIENT_FAILED with error
 * @why. */
void client_give_up(struct client *c, const char *why);

#endif
