#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include <uv.h>

enum {
        LISTENER_ADDRESSES_MAX = 8, /* that a TCP host name stands for */
        LISTENER_ERROR_BYTES = 256,
};

/* The sockets that clients connect to. */
struct listener {
        uv_loop_t *loop;
        uv_pipe_t unix_socket;
        uv_tcp_t tcp[LISTENER_ADDRESSES_MAX];
        unsigned tcp_len;
        bool has_unix;
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
 * are refused: there is no access control on TCP yet. */
int listener_open_tcp(struct listener *l, const char *address, char ret_error[LISTENER_ERROR_BYTES]);

/* Stops listening; the Unix socket's file is removed. May be called at any time after listener_init. */
void listener_close(struct listener *l);

#endif
