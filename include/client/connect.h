#ifndef CONNECT_H
#define CONNECT_H

/* Blocking connects of stream sockets. The sockets are O_NONBLOCK. */

enum { CONNECT_ERROR_BYTES = 256 };

/* Connects to the first address of "host:port" or "[v6]:port" that accepts within @timeout_ms. Returns a
 * descriptor, or -1 with errno (0 if the name does not resolve) and one line in @ret_error; EINTR once
 * @stop_fd (-1 for none) is readable. */
int connect_tcp(const char *address, int timeout_ms, int stop_fd, char ret_error[CONNECT_ERROR_BYTES]);

/* As connect_tcp, for a Unix socket. */
int connect_unix(const char *path, int timeout_ms, int stop_fd, char ret_error[CONNECT_ERROR_BYTES]);

#endif
