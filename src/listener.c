#include "listener.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "err.h"
#include "log.h"

enum { BACKLOG = 1024 };

static int __attribute__((format(printf, 3, 4)))
fail(char ret_error[LISTENER_ERROR_BYTES], int err, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(ret_error, LISTENER_ERROR_BYTES, fmt, args);
        va_end(args);
        return err;
}

static void on_check(uv_check_t *check)
{
        struct listener *l = check->data;

        l->accepts = 0;
}

/* The next turn: libuv watches a socket again when its connection is accepted. */
static void on_idle(uv_idle_t *idle)
{
        struct listener *l = idle->data;

        uv_idle_stop(idle);
        while (l->held_len > 0)
                l->on_connection(l->ctx, l->held[--l->held_len]);
}

void listener_init(struct listener *l, uv_loop_t *loop, void (*on_connection)(void *ctx, uv_stream_t *from),
                   void *ctx)
{
        *l = (struct listener){.loop = loop, .on_connection = on_connection, .ctx = ctx};
        uv_check_init(loop, &l->check);
        uv_idle_init(loop, &l->idle);
        l->check.data = l;
        l->idle.data = l;
        uv_check_start(&l->check, on_check);
}

static void on_connection(uv_stream_t *stream, int status)
{
        struct listener *l = stream->data;

        if (status < 0) {
                log_warn("accepting a connection failed: %s", uv_strerror(status));
        } else if (l->accepts < LISTENER_ACCEPTS_PER_TURN) {
                l->accepts++;
                l->on_connection(l->ctx, stream);
        } else {
                l->held[l->held_len++] = stream;
                uv_idle_start(&l->idle, on_idle);
        }
}

/* --- the Unix socket --- */

/* Whether somebody answers at @path: 1, 0, or -1 with errno. */
static int is_alive(const struct sockaddr_un *addr)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0)
                return -1;
        r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
        if (r == 0 || errno == EAGAIN) /* EAGAIN: its backlog is full, so it lives */
                r = 1;
        else if (errno == ECONNREFUSED)
                r = 0;
        close(fd);
        return r;
}

/* Removes what a crashed daemon left at @path. */
static int remove_stale(const char *path, char ret_error[LISTENER_ERROR_BYTES])
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        struct stat st;
        int alive;

        memcpy(addr.sun_path, path, strlen(path) + 1);
        if (lstat(path, &st) != 0) {
                if (errno == ENOENT)
                        return 0;
                return fail(ret_error, ERR_IO, "listen.unix %s: %s", path, strerror(errno));
        }
        if (!S_ISSOCK(st.st_mode))
                return fail(ret_error, ERR_EXISTS,
                            "listen.unix %s exists and is no socket: remove it or set another path", path);
        alive = is_alive(&addr);
        if (alive == 1)
                return fail(ret_error, ERR_EXISTS, "listen.unix %s: another process listens there", path);
        if (alive < 0)
                return fail(ret_error, ERR_IO, "listen.unix %s: %s", path, strerror(errno));
        log_info("listen.unix %s: removing the socket of a daemon that is gone", path);
        if (unlink(path) != 0)
                return fail(ret_error, ERR_IO, "listen.unix %s: cannot remove the stale socket: %s", path,
                            strerror(errno));
        return 0;
}

int listener_open_unix(struct listener *l, const char *path, unsigned mode,
                       char ret_error[LISTENER_ERROR_BYTES])
{
        mode_t mask;
        int err;
        int r;

        if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
                return fail(ret_error, ERR_CONFIG, "listen.unix %s: the path is longer than %zu bytes", path,
                            sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
        err = remove_stale(path, ret_error);
        if (err)
                return err;
        uv_pipe_init(l->loop, &l->unix_socket, 0);
        l->unix_socket.data = l;
        l->has_unix = true;
        mask = umask(0777); /* nobody gets in between bind and chmod */
        r = uv_pipe_bind(&l->unix_socket, path);
        umask(mask);
        if (r == 0 && chmod(path, (mode_t)mode) != 0)
                r = uv_translate_sys_error(errno);
        if (r == 0)
                r = uv_listen((uv_stream_t *)&l->unix_socket, BACKLOG, on_connection);
        if (r != 0)
                return fail(ret_error, ERR_IO, "listen.unix %s: %s", path, uv_strerror(r));
        log_info("listening on %s", path);
        return 0;
}

/* --- TCP --- */

static bool is_loopback(const struct sockaddr *addr)
{
        if (addr->sa_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr) >> 24 == 127;
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr);
}

/* "host:port" or "[v6]:port" into its two parts. */
static bool split_address(const char *address, char host[256], const char **ret_port)
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
        if (end == start || end - start > 255)
                return false;
        memcpy(host, start, (size_t)(end - start));
        host[end - start] = '\0';
        *ret_port = colon + 1;
        return true;
}

static void log_bound(const uv_tcp_t *tcp)
{
        struct sockaddr_storage bound;
        int len = sizeof(bound);
        char host[NI_MAXHOST];
        char port[NI_MAXSERV];

        if (uv_tcp_getsockname(tcp, (struct sockaddr *)&bound, &len) == 0 &&
            getnameinfo((struct sockaddr *)&bound, (socklen_t)len, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0)
                log_info("listening on TCP %s port %s", host, port);
}

static int open_address(struct listener *l, const struct sockaddr *addr)
{
        uv_tcp_t *tcp = &l->tcp[l->tcp_len];
        int r = uv_tcp_init(l->loop, tcp);

        if (r != 0)
                return r;
        tcp->data = l;
        l->tcp_len++;
        r = uv_tcp_bind(tcp, addr, addr->sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
        if (r == 0)
                r = uv_listen((uv_stream_t *)tcp, BACKLOG, on_connection);
        if (r == 0)
                log_bound(tcp);
        return r;
}

int listener_open_tcp(struct listener *l, const char *address, bool anywhere,
                      char ret_error[LISTENER_ERROR_BYTES])
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
        struct addrinfo *found = NULL;
        char host[256];
        const char *port;
        int err = 0;
        int r;

        if (!split_address(address, host, &port))
                return fail(ret_error, ERR_CONFIG, "listen.tcp %s: must be host:port or [v6]:port", address);
        r = getaddrinfo(host, port, &hints, &found);
        if (r != 0)
                return fail(ret_error, ERR_CONFIG, "listen.tcp %s: %s", address, gai_strerror(r));
        for (struct addrinfo *a = found; a && err == 0 && l->tcp_len < LISTENER_ADDRESSES_MAX;
             a = a->ai_next) {
                if (!anywhere && !is_loopback(a->ai_addr)) {
                        err = fail(
                                ret_error, ERR_CONFIG,
                                "listen.tcp %s: only loopback addresses are allowed without TLS (listen.tls_cert, tls_key, tls_client_ca)",
                                address);
                        break;
                }
                r = open_address(l, a->ai_addr);
                if (r != 0)
                        err = fail(ret_error, ERR_IO, "listen.tcp %s: %s", address, uv_strerror(r));
        }
        freeaddrinfo(found);
        return err;
}

static void close_handle(uv_handle_t *handle)
{
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

void listener_close(struct listener *l)
{
        l->held_len = 0;
        close_handle((uv_handle_t *)&l->check);
        close_handle((uv_handle_t *)&l->idle);
        if (l->has_unix)
                close_handle((uv_handle_t *)&l->unix_socket);
        for (unsigned i = 0; i < l->tcp_len; i++)
                close_handle((uv_handle_t *)&l->tcp[i]);
}
