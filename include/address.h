#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>

/* Addresses of stream sockets, and connections to them for programs that may wait. */

enum { ADDRESS_HOST_BYTES = 256, ADDRESS_ERROR_BYTES = 256 };

/* "host:port" or "[v6]:port" into its two parts; *ret_port points into @address. False where it is neither.
 */
bool address_split(const char *address, char ret_host[ADDRESS_HOST_BYTES], const char **ret_port);

/* A connection to the first of a name's addresses that takes one, within @timeout_ms each; the socket blocks
 * in nothing (O_NONBLOCK). -1 with one line in @ret_error, and errno 0 where a name does not resolve. Gives
 * up with EINTR once @stop_fd (-1 for none) can be read. */
int address_connect_tcp(const char *address, int timeout_ms, int stop_fd,
                        char ret_error[ADDRESS_ERROR_BYTES]);

/* The same for a Unix socket. */
int address_connect_unix(const char *path, int timeout_ms, int stop_fd, char ret_error[ADDRESS_ERROR_BYTES]);

#endif
