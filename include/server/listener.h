#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include <sys/types.h>
#include <sys/un.h>
#include <uv.h>

#include "base/log.h"

enum {
        LISTENER_ADDRESSES_MAX = 8, /* addresses per TCP host name */
        LISTENER_SOCKETS_MAX = 1 + LISTENER_ADDRESSES_MAX,
        LISTENER_ERROR_BYTES = 256,
        /* Connections accepted in one turn of the loop; later ones wait for the next turn. Without this bound a fast
         * connector would starve the loop. */
        LISTENER_ACCEPTS_PER_TURN = 64,
};

struct listener;

/* One listening socket. */
struct listener_socket {
        struct listener *listener;
        uv_poll_t poll;
        int fd;
        bool tcp;
};

/* The sockets that clients connect to. Not libuv's streams, since a connection may belong to another
 * thread's loop. */
struct listener {
        uv_loop_t *loop;
        struct listener_socket sockets[LISTENER_SOCKETS_MAX];
        unsigned len;
        char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* removed when closed; "" for none */
        int lock_fd;       /* of PATH.lock, while the socket is ours; -1 for none */
        dev_t unix_device; /* with unix_inode: identity of the socket file that we created */
        ino_t unix_inode;
        uv_timer_t pause; /* runs while accepting is suspended for lack of descriptors or memory */
        struct log_limit failures;
        /* A client has connected: takes over the non-blocking @fd. */
        void (*on_connection)(void *ctx, int fd, bool tcp);
        /* True if one more client can be accepted now; otherwise clients wait in the kernel's queue. */
        bool (*has_room)(void *ctx);
        void *ctx;
};

void listener_init(struct listener *l, uv_loop_t *loop, void (*on_connection)(void *ctx, int fd, bool tcp),
                   bool (*has_room)(void *ctx), void *ctx);

/* Listens on a Unix socket at @path with permissions @mode. Replaces a socket on which nobody listens; fails
 * if a program does. A lock on PATH.lock, held until the listener is closed, keeps other daemons from
 * deciding the same. Returns 0 or a code of enum err with one line in @ret_error. */
int listener_open_unix(struct listener *l, const char *path, unsigned mode,
                       char ret_error[LISTENER_ERROR_BYTES]);

/* Returns 0 if listener_open_tcp would find addresses on which it may listen. */
int listener_check_tcp(const char *address, bool anywhere, char ret_error[LISTENER_ERROR_BYTES]);

/* Listens on "host:port" or "[v6]:port", on every address of the host. Refuses addresses other than loopback
 * unless @anywhere. */
int listener_open_tcp(struct listener *l, const char *address, bool anywhere,
                      char ret_error[LISTENER_ERROR_BYTES]);

/* Takes over @fd, a socket that another program bound and listens on; it will only be closed. Writes its
 * family (AF_UNIX, AF_INET, AF_INET6) to @ret_family. For TCP the rules of listener_open_tcp apply; at most
 * one Unix socket. */
int listener_adopt_take(struct listener *l, int fd, bool anywhere, int *ret_family,
                        char ret_error[LISTENER_ERROR_BYTES]);

/* True if one of the sockets is a TCP socket. */
bool listener_has_tcp(const struct listener *l);

/* Stops listening; removes the file of its own Unix socket if it is still there. May be called at any time
 * after listener_init, and twice. */
void listener_close(struct listener *l);

#endif
