#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>

#include <netdb.h>
#include <sys/socket.h>

/* Addresses: as settings have them, and of sockets, for people. */

enum { ADDRESS_HOST_BYTES = 256, ADDRESS_PORT_BYTES = 8 };

/* "host:port" or "[v6]:port" into its two parts; *ret_port borrows @address. False where it is neither. */
bool address_split(const char *address, char host[ADDRESS_HOST_BYTES], const char **ret_port);

/* The addresses of "host:port" or "[v6]:port" for stream sockets, which may ask name servers and take its
 * time. 0, and *ret to be given to freeaddrinfo; or -1 with errno (EINVAL where it is neither, 0 where the
 * name does not resolve), and *ret_why, a fixed text, says why. */
int address_resolve(const char *address, struct addrinfo **ret, const char **ret_why);

bool address_is_loopback(const struct sockaddr *addr);

/* Where the TCP socket @fd is bound, in numbers. Its family, or -1 where that cannot be told. */
int address_of_socket(int fd, char host[ADDRESS_HOST_BYTES], char port[ADDRESS_PORT_BYTES]);

#endif
