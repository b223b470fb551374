#include "client/connect.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

#include "base/address.h"

/* Waits until a connection that was begun is made. 0, or an errno. */
static int wait_connected(int fd, int timeout_ms, int stop_fd)
{
        struct pollfd p[] = {{.fd = fd, .events = POLLOUT}, {.fd = stop_fd, .events = POLLIN}};
        int error = 0;
        socklen_t len = sizeof(error);
        int n = poll(p, 2, timeout_ms);

        if (n < 0)
                return errno;
        if (n == 0)
                return ETIMEDOUT;
        if (p[1].revents)
                return EINTR;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static int connect_to(const struct sockaddr *addr, socklen_t len, int timeout_ms, int stop_fd)
{
        int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int error;

        if (fd < 0)
                return -1;
        error = connect(fd, addr, len) == 0 ? 0 : errno;
        if (error == EINPROGRESS)
                error = wait_connected(fd, timeout_ms, stop_fd);
        if (error == 0)
                return fd;
        close(fd);
        errno = error;
        return -1;
}

static int fail(const char *reason, char ret_error[CONNECT_ERROR_BYTES])
{
        int saved = errno;

        snprintf(ret_error, CONNECT_ERROR_BYTES, "%s", reason);
        errno = saved;
        return -1;
}

int connect_tcp(const char *address, int timeout_ms, int stop_fd, char ret_error[CONNECT_ERROR_BYTES])
{
        struct addrinfo *found;
        const char *why;
        int fd = -1;
        int r;

        if (address_resolve(address, &found, &why) != 0)
                return fail(why, ret_error);
        for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
                fd = connect_to(a->ai_addr, a->ai_addrlen, timeout_ms, stop_fd);
                if (fd < 0 && errno == EINTR)
                        break;
        }
        r = errno;
        freeaddrinfo(found);
        errno = r;
        return fd >= 0 ? fd : fail(strerror(r), ret_error);
}

int connect_unix(const char *path, int timeout_ms, int stop_fd, char ret_error[CONNECT_ERROR_BYTES])
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd;

        errno = ENAMETOOLONG;
        if (strlen(path) >= sizeof(address.sun_path))
                return fail("a socket's path has at most 107 bytes", ret_error);
        memcpy(address.sun_path, path, strlen(path));
        fd = connect_to((struct sockaddr *)&address, sizeof(address), timeout_ms, stop_fd);
        return fd >= 0 ? fd : fail(strerror(errno), ret_error);
}
