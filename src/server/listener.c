#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/err.h"

enum {
        BACKLOG = 1024,
        FAILURE_PAUSE_MS = 100,
        FULL_PAUSE_MS = 1,
        UNIX_PATH_BYTES = sizeof(((struct sockaddr_un *)NULL)->sun_path),
        LOCK_PATH_BYTES = UNIX_PATH_BYTES + 8,
};

#define LOCK_SUFFIX ".lock"

static int __attribute__((format(printf, 3, 4)))
fail(char ret_error[LISTENER_ERROR_BYTES], int err, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(ret_error, LISTENER_ERROR_BYTES, fmt, args);
        va_end(args);
        return err;
}

void listener_init(struct listener *l, uv_loop_t *loop, void (*on_connection)(void *ctx, int fd, bool tcp),
                   bool (*has_room)(void *ctx), void *ctx)
{
        *l = (struct listener){.loop = loop,
                               .lock_fd = -1,
                               .on_connection = on_connection,
                               .has_room = has_room,
                               .ctx = ctx};
        uv_timer_init(loop, &l->pause);
        l->pause.data = l;
}

/* --- accepting --- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void listen_again(struct listener *l)
{
        for (unsigned i = 0; i < l->len; i++)
                uv_poll_start(&l->sockets[i].poll, UV_READABLE, on_readable);
}

static void on_pause_over(uv_timer_t *timer)
{
        listen_again(timer->data);
}

static void pause_accepting(struct listener *l, uint64_t pause_ms)
{
        for (unsigned i = 0; i < l->len; i++)
                uv_poll_stop(&l->sockets[i].poll);
        uv_timer_start(&l->pause, on_pause_over, pause_ms, 0);
}

/* After a failure, as for lack of descriptors, pauses accepting: the same connection would fail again
 * immediately. */
static void on_failure(struct listener *l, int error)
{
        uint64_t failures = log_limit_pass(&l->failures, uv_now(l->loop));

        if (failures > 0)
                log_warn("accepting a connection failed: %s (%" PRIu64 " times since the last such line)",
                         strerror(error), failures);
        pause_accepting(l, FAILURE_PAUSE_MS);
}

/* The client, or its network, is gone: not an error of the listening socket (accept(2)). */
static bool is_passing(int error)
{
        return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM ||
               error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
               error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
        struct listener_socket *s = poll->data;
        struct listener *l = s->listener;

        (void)events;
        if (status < 0) {
                on_failure(l, -status);
                return;
        }
        for (unsigned i = 0; i < LISTENER_ACCEPTS_PER_TURN; i++) {
                int fd;

                if (!l->has_room(l->ctx)) {
                        pause_accepting(l, FULL_PAUSE_MS);
                        return;
                }
                fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0)
                        l->on_connection(l->ctx, fd, s->tcp);
                else if (errno == EAGAIN || errno == EWOULDBLOCK)
                        return;
                else if (!is_passing(errno)) {
                        on_failure(l, errno);
                        return;
                }
        }
}

/* Takes over @fd, a bound socket. Returns 0, or a negative errno with @fd closed. */
static int listen_take(struct listener *l, int fd, bool tcp)
{
        struct listener_socket *s = &l->sockets[l->len];
        int r = listen(fd, BACKLOG) == 0 ? 0 : -errno;

        if (r == 0)
                r = uv_poll_init(l->loop, &s->poll, fd);
        if (r != 0) {
                close(fd);
                return r;
        }
        s->listener = l;
        s->fd = fd;
        s->tcp = tcp;
        s->poll.data = s;
        l->len++;
        return uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

/* --- the Unix socket --- */

/* True if the locked file is still the one at @path. */
static bool is_same_file(int fd, const char *path)
{
        struct stat ours;
        struct stat there;

        return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_ino == there.st_ino &&
               ours.st_dev == there.st_dev;
}

/* Of two daemons that find a stale socket, only one may replace it; the other must not mistake the new
 * socket for the stale one. The previous holder of the lock may have removed its file: then the new file
 * must be locked. */
static int lock_unix(struct listener *l, const char *path, char ret_error[LISTENER_ERROR_BYTES])
{
        char lock[LOCK_PATH_BYTES];

        snprintf(lock, sizeof(lock), "%s" LOCK_SUFFIX, path);
        for (;;) {
                int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

                if (fd < 0)
                        return fail(ret_error, ERR_IO, "listen.unix %s: cannot open %s: %s", path, lock,
                                    strerror(errno));
                if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
                        int error = errno;

                        close(fd);
                        if (error == EWOULDBLOCK)
                                return fail(ret_error, ERR_EXISTS,
                                            "listen.unix %s: another daemon has it: %s is locked", path,
                                            lock);
                        return fail(ret_error, ERR_IO, "listen.unix %s: cannot lock %s: %s", path, lock,
                                    strerror(error));
                }
                if (is_same_file(fd, lock)) {
                        l->lock_fd = fd;
                        return 0;
                }
                close(fd);
        }
}

static void unlock_unix(struct listener *l, const char *path)
{
        char lock[LOCK_PATH_BYTES];

        if (l->lock_fd < 0)
                return;
        snprintf(lock, sizeof(lock), "%s" LOCK_SUFFIX, path);
        unlink(lock);
        close(l->lock_fd);
        l->lock_fd = -1;
}

/* Returns 1 if a program listens at @path, 0 if none does, or -1 with errno. */
static int is_alive(const struct sockaddr_un *addr)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0)
                return -1;
        r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
        if (r == 0 || errno == EAGAIN) /* EAGAIN: its backlog is full, so it is alive */
                r = 1;
        else if (errno == ECONNREFUSED)
                r = 0;
        close(fd);
        return r;
}

/* Removes the socket that a crashed daemon left at @path. */
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
                            "listen.unix %s exists but is not a socket: remove it or set another path", path);
        alive = is_alive(&addr);
        if (alive == 1)
                return fail(ret_error, ERR_EXISTS, "listen.unix %s: another process listens there", path);
        if (alive < 0)
                return fail(ret_error, ERR_IO, "listen.unix %s: %s", path, strerror(errno));
        log_info("listen.unix %s: removing the stale socket of a daemon that no longer runs", path);
        if (unlink(path) != 0)
                return fail(ret_error, ERR_IO, "listen.unix %s: cannot remove the stale socket: %s", path,
                            strerror(errno));
        return 0;
}

/* Returns a socket bound to @path, or a negative errno. */
static int bind_unix(const char *path, unsigned mode)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        mode_t mask;
        int r;

        if (fd < 0)
                return -errno;
        memcpy(addr.sun_path, path, strlen(path) + 1);
        mask = umask(0777); /* nobody can connect between bind and chmod */
        r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : -errno;
        umask(mask);
        if (r == 0 && chmod(path, (mode_t)mode) != 0)
                r = -errno;
        if (r != 0)
                close(fd);
        return r == 0 ? fd : r;
}

int listener_open_unix(struct listener *l, const char *path, unsigned mode,
                       char ret_error[LISTENER_ERROR_BYTES])
{
        struct stat st;
        int err;
        int fd;

        if (strlen(path) >= sizeof(l->unix_path))
                return fail(ret_error, ERR_CONFIG, "listen.unix %s: the path is longer than %zu bytes", path,
                            sizeof(l->unix_path) - 1);
        err = lock_unix(l, path, ret_error);
        if (err)
                return err;
        memcpy(l->unix_path, path, strlen(path) + 1);
        err = remove_stale(path, ret_error);
        if (err)
                return err;
        fd = bind_unix(path, mode);
        if (fd >= 0 && lstat(path, &st) == 0) {
                l->unix_device = st.st_dev;
                l->unix_inode = st.st_ino;
        }
        err = fd < 0 ? fd : listen_take(l, fd, false);
        if (err)
                return fail(ret_error, ERR_IO, "listen.unix %s: %s", path, strerror(-err));
        log_info("listening on %s", path);
        return 0;
}

/* --- TCP --- */

static void log_bound(int fd)
{
        char host[ADDRESS_HOST_BYTES];
        char port[ADDRESS_PORT_BYTES];

        if (address_of_socket(fd, host, port) >= 0)
                log_info("listening on TCP %s port %s", host, port);
}

/* Returns a socket bound to @addr, or a negative errno. */
static int bind_tcp(const struct addrinfo *addr)
{
        int fd = socket(addr->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1;

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
            (addr->ai_family != AF_INET6 ||
             setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
            bind(fd, addr->ai_addr, addr->ai_addrlen) == 0)
                return fd;
        on = -errno;
        close(fd);
        return on;
}

static int open_address(struct listener *l, const struct addrinfo *addr)
{
        int fd = bind_tcp(addr);
        int err = fd < 0 ? fd : listen_take(l, fd, true);

        if (err == 0)
                log_bound(fd);
        return err;
}

/* Returns 0, and *ret, which the caller frees with freeaddrinfo. */
static int resolve_tcp(const char *address, bool anywhere, struct addrinfo **ret,
                       char ret_error[LISTENER_ERROR_BYTES])
{
        const char *why;

        if (address_resolve(address, ret, &why) != 0)
                return fail(ret_error, ERR_CONFIG, "listen.tcp %s: %s", address, why);
        for (const struct addrinfo *a = *ret; a; a = a->ai_next) {
                if (!anywhere && !address_is_loopback(a->ai_addr)) {
                        freeaddrinfo(*ret);
                        return fail(ret_error, ERR_CONFIG,
                                    "listen.tcp %s: only loopback addresses are allowed without TLS "
                                    "(listen.tls_cert, tls_key, tls_client_ca)",
                                    address);
                }
        }
        return 0;
}

int listener_check_tcp(const char *address, bool anywhere, char ret_error[LISTENER_ERROR_BYTES])
{
        struct addrinfo *found;
        int err = resolve_tcp(address, anywhere, &found, ret_error);

        if (!err)
                freeaddrinfo(found);
        return err;
}

int listener_open_tcp(struct listener *l, const char *address, bool anywhere,
                      char ret_error[LISTENER_ERROR_BYTES])
{
        struct addrinfo *found;
        int err = resolve_tcp(address, anywhere, &found, ret_error);

        if (err)
                return err;
        for (struct addrinfo *a = found; a && err == 0 && l->len < LISTENER_SOCKETS_MAX; a = a->ai_next) {
                int r = open_address(l, a);

                if (r != 0)
                        err = fail(ret_error, ERR_IO, "listen.tcp %s: %s", address, strerror(-r));
        }
        freeaddrinfo(found);
        return err;
}

/* --- sockets of others --- */

static bool is_listening(int fd)
{
        int type = 0;
        int listening = 0;
        socklen_t len = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
               getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

static bool has_unix(const struct listener *l)
{
        for (unsigned i = 0; i < l->len; i++) {
                if (!l->sockets[i].tcp)
                        return true;
        }
        return false;
}

/* Checks whether the socket may be used with its address. */
static int check_adopted(const struct listener *l, int fd, bool anywhere, const struct sockaddr *bound,
                         char ret_error[LISTENER_ERROR_BYTES])
{
        if (l->len == LISTENER_SOCKETS_MAX || (bound->sa_family == AF_UNIX && has_unix(l)))
                return fail(
                        ret_error, ERR_CONFIG,
                        "socket %d, passed by systemd: at most one Unix socket and %d TCP sockets are possible",
                        fd, LISTENER_ADDRESSES_MAX);
        if (bound->sa_family != AF_UNIX && !anywhere && !address_is_loopback(bound))
                return fail(
                        ret_error, ERR_CONFIG,
                        "TCP socket %d, passed by systemd: only loopback addresses are allowed without TLS "
                        "(listen.tls_cert, tls_key, tls_client_ca)",
                        fd);
        return 0;
}

int listener_adopt_take(struct listener *l, int fd, bool anywhere, int *ret_family,
                        char ret_error[LISTENER_ERROR_BYTES])
{
        struct sockaddr_storage bound = {0};
        socklen_t len = sizeof(bound);
        int err = 0;

        if (!is_listening(fd) || getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
                err = fail(ret_error, ERR_CONFIG,
                           "descriptor %d, passed by systemd, is not a listening stream socket", fd);
        else
                err = check_adopted(l, fd, anywhere, (const struct sockaddr *)&bound, ret_error);
        if (err) {
                close(fd);
                return err;
        }
        *ret_family = bound.ss_family;
        err = listen_take(l, fd, bound.ss_family != AF_UNIX);
        if (err)
                return fail(ret_error, ERR_IO, "socket %d, passed by systemd: %s", fd, strerror(-err));
        if (bound.ss_family == AF_UNIX)
                log_info("listening on %.*s (socket passed by systemd); listen.unix is ignored",
                         UNIX_PATH_BYTES, ((const struct sockaddr_un *)&bound)->sun_path);
        else
                log_bound(fd);
        return 0;
}

static void on_socket_closed(uv_handle_t *handle)
{
        struct listener_socket *s = handle->data;

        close(s->fd);
}

bool listener_has_tcp(const struct listener *l)
{
        for (unsigned i = 0; i < l->len; i++) {
                if (l->sockets[i].tcp)
                        return true;
        }
        return false;
}

void listener_close(struct listener *l)
{
        struct stat st;

        if (uv_is_closing((uv_handle_t *)&l->pause))
                return;
        uv_close((uv_handle_t *)&l->pause, NULL);
        for (unsigned i = 0; i < l->len; i++)
                uv_close((uv_handle_t *)&l->sockets[i].poll, on_socket_closed);
        if (l->unix_inode && lstat(l->unix_path, &st) == 0 && st.st_ino == l->unix_inode &&
            st.st_dev == l->unix_device)
                unlink(l->unix_path);
        unlock_unix(l, l->unix_path);
}
