#ifndef CONNECT_H
#define CONNECT_H

/* Connections of stream sockets, for programs that may wait. Sockets are O_NONBLOCK. */

enum { CONNECT_ERROR_BYTES = 256 };

/* A connection to the first of the addresses of "host:port" or "[v6]:port" that takes one within @timeout_ms.
 * -1 with errno (0 where the name does not resolve) and one line in @ret_error; EINTR once @stop_fd, -1 for
 * none, can be read. */
int connect_tcp(const char *address, int timeout_ms, int stop_fd, char ret_error[CONNECT_ERROR_BYTES]);

/* The same for a Unix socket. */
int connect_unix(const char *path, int timeout_ms, int stop_fd, char ret_error[CONNECT_ERROR_BYTES]);

#endif
