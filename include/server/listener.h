#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include <sys/types.h>
#include <sys/un.h>
#include <uv.h>

#include "base/log.h"

enum {
        LISTENER_ADDRESSES_MAX = 8, /* that a TCP host name stands for */
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

/* The sockets that clients connect to. They are accepted here, and not by libuv's streams, since a connection
 * may be for another thread's loop. */
struct listener {
        uv_loop_t *loop;
        struct listener_socket sockets[LISTENER_SOCKETS_MAX];
        unsigned len;
        char unix_path[sizeof(
                ((struct sockaddr_un *)0)->sun_path)]; /* to be removed in the end; "" for none */
        int lock_fd;       /* of the file beside that path, while it is ours; -1 for none */
        dev_t unix_device; /* with unix_inode: the socket's own file */
        ino_t unix_inode;
        uv_timer_t pause; /* runs while nothing is accepted for want of descriptors or memory */
        struct log_limit failures;
        /* A client has connected: takes over the non-blocking @fd. */
        void (*on_connection)(void *ctx, int fd, bool tcp);
        /* Whether one more can be taken now; where not, clients wait in the kernel's queue. */
        bool (*has_room)(void *ctx);
        void *ctx;
};

void listener_init(struct listener *l, uv_loop_t *loop, void (*on_connection)(void *ctx, int fd, bool tcp),
                   bool (*has_room)(void *ctx), void *ctx);

/* Listens on a Unix socket at @path, with permissions @mode. A socket that nobody listens on any more is
 * replaced; one that somebody listens on is an error. Until it is closed, a lock on PATH.lock keeps other
 * daemons from the same decision. Returns 0 or a code of enum err with one line in
 * @ret_error. */
int listener_open_unix(struct listener *l, const char *path, unsigned mode,
                       char ret_error[LISTENER_ERROR_BYTES]);

/* Whether listener_open_tcp would find addresses that it may listen on. */
int listener_check_tcp(const char *address, bool anywhere, char ret_error[LISTENER_ERROR_BYTES]);

/* Listens on "host:port" or "[v6]:port", on each address the host stands for. Addresses that are not loopback
 * are refused unless @anywhere. */
int listener_open_tcp(struct listener *l, const char *address, bool anywhere,
                      char ret_error[LISTENER_ERROR_BYTES]);

/* Takes over @fd, a socket that somebody else has bound and listens on: it is closed in the end, and no more.
 * Writes its family (AF_UNIX, AF_INET, AF_INET6) to @ret_family. TCP as above; one Unix socket at most. */
int listener_adopt_take(struct listener *l, int fd, bool anywhere, int *ret_family,
                        char ret_error[LISTENER_ERROR_BYTES]);

/* Whether a TCP socket is among them. */
bool listener_has_tcp(const struct listener *l);

/* Stops listening; the file of a Unix socket of its own is removed, if it still lies there. May be called at any time after
 * listener_init, and twice. */
void listener_close(struct listener *l);

#endif
