#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>

#include <sys/socket.h>

/* Addresses as settings have them. */

enum { ADDRESS_HOST_BYTES = 256 };

/* "host:port" or "[v6]:port" into its two parts; *ret_port borrows @address. False where it is neither. */
bool address_split(const char *address, char host[ADDRESS_HOST_BYTES], const char **ret_port);

bool address_is_loopback(const struct sockaddr *addr);

#endif
