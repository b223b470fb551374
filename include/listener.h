#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include <uv.h>

enum {
        LISTENER_ADDRESSES_MAX = 8, /* that a TCP host name stands for */
        LISTENER_ERROR_BYTES = 256,
        /* Connections accepted in one turn of the loop; those behind them wait for the next. libuv goes on as
         * long as there are any, and who connects fast enough could keep it from all else. */
        LISTENER_ACCEPTS_PER_TURN = 64,
};

/* The sockets that clients connect to. */
struct listener {
        uv_loop_t *loop;
        uv_pipe_t unix_socket;
        uv_tcp_t tcp[LISTENER_ADDRESSES_MAX];
        unsigned tcp_len;
        bool has_unix;
        unsigned accepts; /* in this turn of the loop */
        uv_check_t check; /* the turn's end */
        uv_idle_t idle;   /* runs while connections are held */
        /* Sockets with a connection that is not accepted yet. */
        uv_stream_t *held[1 + LISTENER_ADDRESSES_MAX];
        unsigned held_len;
        /* A connection waits at @from; accept it in the call. */
        void (*on_connection)(void *ctx, uv_stream_t *from);
        void *ctx;
};

void listener_init(struct listener *l, uv_loop_t *loop, void (*on_connection)(void *ctx, uv_stream_t *from),
                   void *ctx);

/* Listens on a Unix socket at @path, with permissions @mode. A socket that nobody listens on any more is
 * replaced; one that somebody listens on is an error. Returns 0 or a code of enum err with one line in
 * @ret_error. */
int listener_open_unix(struct listener *l, const char *path, unsigned mode,
                       char ret_error[LISTENER_ERROR_BYTES]);

/* Listens on "host:port" or "[v6]:port", on each address the host stands for. Addresses that are not loopback
 * are refused unless @anywhere. */
int listener_open_tcp(struct listener *l, const char *address, bool anywhere,
                      char ret_error[LISTENER_ERROR_BYTES]);

/* Stops listening; the Unix socket's file is removed. May be called at any time after listener_init. */
void listener_close(struct listener *l);

#endif
