#include "base/address.h"

#include <errno.h>
#include <string.h>

#include <netdb.h>
#include <netinet/in.h>

bool address_is_loopback(const struct sockaddr *addr)
{
        if (addr->sa_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr) >> 24 == 127;
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr);
}

bool address_split(const char *address, char host[ADDRESS_HOST_BYTES], const char **ret_port)
{
        const char *colon = strrchr(address, ':');
        const char *start = address;
        const char *end = colon;

        if (!colon || !colon[1])
                return false;
        if (*start == '[') {
                start++;
                end--;
                if (end < start || *end != ']')
                        return false;
        }
        if (end <= start || end - start >= ADDRESS_HOST_BYTES)
                return false;
        memcpy(host, start, (size_t)(end - start));
        host[end - start] = '\0';
        *ret_port = colon + 1;
        return true;
}

int address_resolve(const char *address, struct addrinfo **ret, const char **ret_why)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        char host[ADDRESS_HOST_BYTES];
        const char *port;
        int r;

        *ret_why = "must be host:port or [v6]:port";
        errno = EINVAL;
        if (!address_split(address, host, &port))
                return -1;
        r = getaddrinfo(host, port, &hints, ret);
        if (r == 0)
                return 0;
        *ret_why = gai_strerror(r);
        errno = 0;
        return -1;
}

int address_of_socket(int fd, char host[ADDRESS_HOST_BYTES], char port[ADDRESS_PORT_BYTES])
{
        struct sockaddr_storage bound = {0};
        socklen_t len = sizeof(bound);

        if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0 ||
            getnameinfo((struct sockaddr *)&bound, len, host, ADDRESS_HOST_BYTES, port, ADDRESS_PORT_BYTES,
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return -1;
        return bound.ss_family;
}
