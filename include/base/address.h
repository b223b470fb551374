#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>

#include <netdb.h>
#include <sys/socket.h>

/* Network addresses: parsing those in settings, resolving them, formatting those of sockets. */

enum { ADDRESS_HOST_BYTES = 256, ADDRESS_PORT_BYTES = 8 };

/* Splits "host:port" or "[v6]:port"; *ret_port points into @address. Returns false if @address has neither
 * form. */
bool address_split(const char *address, char host[ADDRESS_HOST_BYTES], const char **ret_port);

/* Resolves "host:port" or "[v6]:port" for stream sockets; may block on name servers. Returns 0 and *ret,
 * which the caller frees with freeaddrinfo; or -1 with errno set (EINVAL: neither form; 0: the name does not
 * resolve) and *ret_why, a static text with the reason. */
int address_resolve(const char *address, struct addrinfo **ret, const char **ret_why);

bool address_is_loopback(const struct sockaddr *addr);

/* Formats the numeric address and port that the TCP socket @fd is bound to. Returns the address family, or
 * -1 if it cannot be determined. */
int address_of_socket(int fd, char host[ADDRESS_HOST_BYTES], char port[ADDRESS_PORT_BYTES]);

#endif
