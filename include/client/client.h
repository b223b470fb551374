#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "client/connect.h"

/* The wire (contract section 4) from a client's side, for programs that may wait: lines go out, rejects and
 * acks come in, and after a broken connection what is not acked is sent again. */

struct client_counts {
        uint64_t lines; /* settled, of all connections, as are the others; the rest of them is empty */
        uint64_t stored;
        uint64_t duplicate;
        uint64_t rejected;
        uint64_t spooled;
};

/* A line that is rejected for good: an ack covers it. */
struct client_reject {
        uint64_t line; /* from 1, of all that is sent */
        const char *code;
        const char *field; /* "" for none */
        const char *message;
        void *owner; /* of the texts */
};

enum client_input { CLIENT_INPUT_MORE, CLIENT_INPUT_END, CLIENT_INPUT_FAILED };

struct client_ops {
        /* Appends what comes next of the lines to @out, cut anywhere; waits no longer than a file's read
         * does. */
        enum client_input (*read)(void *ctx, struct buf *out);
        /* In the order of their lines. */
        void (*on_reject)(void *ctx, const struct client_reject *reject);
        /* There is no connection, client->error says why; the next attempt follows in @pause_ms. @anonymous unacked
         * lines, from line @first on, have neither id nor collectedAt. If the daemon did store them, resending
         * stores them twice. */
        void (*on_trouble)(void *ctx, int pause_ms, uint64_t anonymous, uint64_t first);
        /* Something may have changed; every turn_ms at the latest. */
        void (*on_turn)(void *ctx);
        /* May be NULL. There is a new connection, @fd, on which nothing is sent yet; or it is about to be closed, -1. */
        void (*on_connection)(void *ctx, int fd);
};

struct client_options {
        const char *path;    /* of the Unix socket; NULL: tcp is used */
        const char *tcp;     /* host:port */
        int64_t retry_ms;    /* for how long it is tried again where nothing gets settled any more */
        bool retry_at_first; /* also before there was any connection */
        int input_fd;        /* which is waited for before read is called; -1: there is always something */
        int stop_fd;         /* once it can be read, no more lines are sent; -1 for none */
        int turn_ms;         /* -1 for never */
        int connect_ms;      /* how long a connection may take to be made; 0: 10 s */
        const char *hello;   /* the first line of each connection, with its newline; NULL for none */
};

enum client_end {
        CLIENT_DONE,     /* every line is settled */
        CLIENT_STOPPED,  /* on demand: what was sent is settled, where there was a connection */
        CLIENT_NO_INPUT, /* read has failed: likewise */
        CLIENT_FAILED,   /* error says why */
};

struct client {
        struct client_options options;
        const struct client_ops *ops;
        void *ctx;

        struct client_counts counts;
        struct client_counts before; /* those at the beginning of this connection */
        uint64_t bytes;              /* settled */
        unsigned connections;
        bool connected;
        char error[CONNECT_ERROR_BYTES]; /* of the last connection, printable */

        struct buf window; /* first..sent: sent, not settled; ..whole: lines to be sent; ..len: a line's
                              beginning */
        size_t first;
        size_t sent;
        size_t whole;
        size_t lines; /* from first to whole */
        enum client_input input;
        bool stopped;

        int fd;
        size_t hello_sent; /* bytes of options.hello, on this connection */
        bool half_closed;
        bool hopeless;                 /* another try would end like this one */
        struct buf replies;            /* one without its end */
        struct client_reject *rejects; /* no ack covers these yet */
        size_t rejects_len;
        size_t rejects_cap;
};

void client_init(struct client *c, const struct client_options *options, const struct client_ops *ops,
                 void *ctx);

void client_deinit(struct client *c);

/* Sends all lines, returns when that is over. */
enum client_end client_run(struct client *c);

/* To be called by an op: no more is sent or read, and client_run returns CLIENT_FAILED with error @why. */
void client_give_up(struct client *c, const char *why);

#endif
