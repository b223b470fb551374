#include "server/transport.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
        LINGER_MS = 1000,
        CIPHER_BYTES = 64 * 1024,
        KEEP_BYTES = 4 * 1024,
        KEEPALIVE_IDLE_S = 60,
        KEEPALIVE_INTERVAL_S = 10,
        KEEPALIVE_COUNT = 3,
        GREETING_MS = 10000, /* limit of the TLS handshake */
        TLS_HANDSHAKE = 22,  /* the first byte of a TLS connection (RFC 8446, section 5.1) */
};

/* --- closing --- */

static void on_handle_closed(uv_handle_t *handle)
{
        struct transport *t = handle->data;

        if (--t->handles == 0)
                t->ops->on_closed(t->ctx);
}

void transport_close(struct transport *t)
{
        if (t->state == TRANSPORT_CLOSED)
                return;
        transport_stop_reading(t);
        t->state = TRANSPORT_CLOSED;
        uv_close(&t->uv.handle, on_handle_closed);
        uv_close((uv_handle_t *)&t->timer, on_handle_closed);
}

void transport_deinit(struct transport *t)
{
        buf_deinit(&t->wire);
        buf_deinit(&t->sending);
        tls_deinit(&t->tls);
}

static void on_linger_over(uv_timer_t *timer)
{
        struct transport *t = timer->data;

        t->ops->on_lingered(t->ctx);
}

static void on_shut_down(uv_shutdown_t *req, int status)
{
        struct transport *t = req->data;

        if (status < 0 && status != UV_ECANCELED)
                t->ops->on_lingered(t->ctx);
}

static void on_linger_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        static _Thread_local char thrown_away[16 * 1024];

        (void)handle;
        (void)suggested;
        *ret = uv_buf_init(thrown_away, sizeof(thrown_away));
}

static void on_linger_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
        struct transport *t = stream->data;

        (void)buf;
        if (nread < 0)
                t->ops->on_lingered(t->ctx);
}

void transport_linger(struct transport *t)
{
        transport_stop_reading(t);
        t->state = TRANSPORT_LINGERING;
        t->shutdown.data = t;
        if (uv_shutdown(&t->shutdown, &t->uv.stream, on_shut_down) != 0 ||
            uv_read_start(&t->uv.stream, on_linger_alloc, on_linger_read) != 0) {
                t->ops->on_lingered(t->ctx);
                return;
        }
        t->reading = true;
        uv_timer_start(&t->timer, on_linger_over, LINGER_MS, 0);
}

/* --- sending --- */

size_t transport_unsent(const struct transport *t)
{
        return t->sending.len + t->wire.len + tls_unsent(&t->tls);
}

size_t transport_bytes(const struct transport *t)
{
        return t->sending.cap + t->wire.cap + tls_buffer_bytes(&t->tls);
}

uint64_t transport_progress(const struct transport *t)
{
        int queued = 0; /* bytes in the kernel's queue */

        ioctl(transport_fd(t), SIOCOUTQ, &queued);
        return (t->writes << 32) - uv_stream_get_write_queue_size(&t->uv.stream) - (uint64_t)queued;
}

/* Shrinks a buffer that a single large write made grow. */
static void trim(struct buf *b)
{
        if (b->len == 0 && b->cap > KEEP_BYTES)
                buf_deinit(b);
}

static void on_written(uv_write_t *req, int status)
{
        struct transport *t = req->data;

        t->sending.len = 0;
        t->writes++;
        trim(&t->sending);
        if (status < 0)
                t->ops->on_broken(t->ctx, NULL);
        else
                t->ops->on_sent(t->ctx);
}

/* Writes what the socket accepts immediately, the rest later. */
static enum transport_sent write_out(struct transport *t, struct buf *out)
{
        uv_buf_t buf = uv_buf_init(out->data, (unsigned)out->len);
        struct buf swap = t->sending;
        int sent = uv_try_write(&t->uv.stream, &buf, 1);

        if (sent == (int)out->len) {
                out->len = 0;
                trim(out);
                return TRANSPORT_SENT;
        }
        if (sent < 0 && sent != UV_EAGAIN) {
                t->ops->on_broken(t->ctx, NULL);
                return TRANSPORT_LATER;
        }
        sent = sent > 0 ? sent : 0;
        t->sending = *out;
        *out = swap;
        buf = uv_buf_init(t->sending.data + sent, (unsigned)t->sending.len - (unsigned)sent);
        t->write.data = t;
        if (uv_write(&t->write, &t->uv.stream, &buf, 1, on_written) != 0)
                t->ops->on_broken(t->ctx, NULL);
        return TRANSPORT_LATER;
}

/* Encrypts the output; before the handshake is complete there is only the handshake. */
static void seal(struct transport *t, struct buf *out, bool last)
{
        if (t->state == TRANSPORT_OPEN) {
                tls_write(&t->tls, out->data, out->len);
                out->len = 0;
                if (last && !t->tls_finished) {
                        tls_finish(&t->tls);
                        t->tls_finished = true;
                }
        }
        tls_take(&t->tls, &t->wire);
}

enum transport_sent transport_send(struct transport *t, struct buf *out, bool last)
{
        struct buf *ready = t->has_tls ? &t->wire : out;

        if (t->tls.ssl)
                seal(t, out, last);
        return ready->len > 0 ? write_out(t, ready) : TRANSPORT_NOTHING;
}

/* --- receiving --- */

/* Encrypted bytes are decrypted immediately, so all connections share one buffer. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        static _Thread_local char cipher[CIPHER_BYTES];
        struct transport *t = handle->data;

        (void)suggested;
        if (!t->ops->may_read(t->ctx))
                *ret = uv_buf_init(NULL, 0);
        else
                *ret = t->has_tls ? uv_buf_init(cipher, sizeof(cipher)) : t->ops->alloc(t->ctx);
}

/* Best effort: tells the client why. */
static void break_off(struct transport *t, const char *reason)
{
        uv_buf_t last = uv_buf_init(t->wire.data, (unsigned)t->wire.len);

        if (t->sending.len == 0 && last.len > 0)
                uv_try_write(&t->uv.stream, &last, 1);
        t->ops->on_broken(t->ctx, reason);
}

static void on_tls_broken(struct transport *t)
{
        char reason[TLS_ERROR_BYTES];

        tls_reason(&t->tls, reason);
        tls_take(&t->tls, &t->wire);
        break_off(t, reason);
}

/* Decrypts all received bytes. */
static void decipher(struct transport *t, const char *data, size_t len)
{
        enum tls_result result;

        if (!t->tls.ssl && len > 0 && data[0] != TLS_HANDSHAKE) {
                t->ops->answer_plain(t->ctx, &t->wire);
                break_off(t, "it sent plain text (it must connect with TLS)");
                return;
        }
        if (!t->tls.ssl)
                tls_init(&t->tls, t->server); /* only now: a client that sends nothing costs nothing */
        tls_put(&t->tls, data, len);
        do {
                uv_buf_t room = t->ops->alloc(t->ctx);
                size_t plain = 0;

                result = tls_read(&t->tls, room.base, room.len, &plain);
                if (t->state == TRANSPORT_GREETING && tls_greeted(&t->tls)) {
                        uv_timer_stop(&t->timer);
                        if (!tls_is_trusted(&t->tls, t->server)) {
                                break_off(t, "its certificate was withdrawn during the handshake");
                                return;
                        }
                        t->state = TRANSPORT_OPEN;
                        t->ops->on_greeted(t->ctx);
                }
                t->ops->on_bytes(t->ctx, plain);
        } while (result == TLS_DATA);
        if (result == TLS_BROKEN)
                on_tls_broken(t);
        else
                t->ops->on_read(t->ctx, result == TLS_END);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
        struct transport *t = stream->data;

        if (nread == UV_ENOBUFS) { /* may_read returned false */
                t->ops->on_read(t->ctx, false);
        } else if (nread < 0 && (nread != UV_EOF || t->has_tls)) { /* TLS announces its own end */
                t->ops->on_broken(t->ctx, NULL);
        } else if (t->has_tls) {
                decipher(t, buf->base, (size_t)nread);
        } else {
                t->ops->on_bytes(t->ctx, nread > 0 ? (size_t)nread : 0);
                t->ops->on_read(t->ctx, nread == UV_EOF);
        }
}

bool transport_has_unread(const struct transport *t)
{
        int bytes = 0;

        return ioctl(transport_fd(t), FIONREAD, &bytes) == 0 && bytes > 0;
}

int transport_fd(const struct transport *t)
{
        uv_os_fd_t fd;

        return uv_fileno(&t->uv.handle, &fd) == 0 ? fd : -1;
}

void transport_read_rest(struct transport *t)
{
        int fd = transport_fd(t);
        char cipher[16 * 1024];
        ssize_t n = 1;

        while (fd >= 0 && n > 0 && t->state == TRANSPORT_OPEN && t->ops->may_keep(t->ctx)) {
                uv_buf_t to = t->has_tls ? uv_buf_init(cipher, sizeof(cipher)) : t->ops->alloc(t->ctx);

                n = recv(fd, to.base, to.len, MSG_DONTWAIT);
                if (n > 0 && t->has_tls)
                        decipher(t, cipher, (size_t)n);
                else if (n >= 0 && !t->has_tls)
                        t->ops->on_bytes(t->ctx, (size_t)n);
                if (n == 0 && !t->has_tls)
                        t->ops->on_read(t->ctx, true);
        }
}

void transport_start_reading(struct transport *t)
{
        if (t->reading)
                return;
        t->reading = uv_read_start(&t->uv.stream, on_alloc, on_read) == 0;
        if (!t->reading)
                t->ops->on_broken(t->ctx, NULL);
}

void transport_stop_reading(struct transport *t)
{
        if (t->reading)
                uv_read_stop(&t->uv.stream);
        t->reading = false;
}

/* --- the beginning --- */

static void on_greeting_over(uv_timer_t *timer)
{
        struct transport *t = timer->data;

        t->ops->on_broken(t->ctx, "it showed no certificate in time");
}

/* Detects a client whose machine or network is gone within 90 s. */
static void set_tcp_options(uv_tcp_t *tcp)
{
        int interval = KEEPALIVE_INTERVAL_S;
        int count = KEEPALIVE_COUNT;
        uv_os_fd_t fd;

        uv_tcp_nodelay(tcp, 1);
        uv_tcp_keepalive(tcp, 1, KEEPALIVE_IDLE_S);
        if (uv_fileno((uv_handle_t *)tcp, &fd) != 0)
                return;
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

int transport_open_take(struct transport *t, uv_loop_t *loop, int fd, bool tcp, const struct tls_server *tls,
                        const struct transport_ops *ops, void *ctx)
{
        int r;

        *t = (struct transport){.ops = ops, .ctx = ctx, .state = TRANSPORT_OPEN, .tcp = tcp};
        r = tcp ? uv_tcp_init(loop, &t->uv.tcp) : uv_pipe_init(loop, &t->uv.pipe, 0);
        if (r != 0) {
                close(fd);
                return r;
        }
        uv_timer_init(loop, &t->timer);
        t->uv.handle.data = t;
        t->timer.data = t;
        t->handles = 2;
        r = tcp ? uv_tcp_open(&t->uv.tcp, fd) : uv_pipe_open(&t->uv.pipe, fd);
        if (r != 0) {
                close(fd);
                return r;
        }
        if (tcp)
                set_tcp_options(&t->uv.tcp);
        if (tls) {
                t->has_tls = true;
                t->state = TRANSPORT_GREETING;
                t->server = tls;
                uv_timer_start(&t->timer, on_greeting_over, GREETING_MS, 0);
        }
        return 0;
}

/* --- the peer's name --- */

static void name_tcp_peer(const struct transport *t, char ret[TRANSPORT_PEER_BYTES])
{
        struct sockaddr_storage address;
        char host[INET6_ADDRSTRLEN] = "?";
        int len = sizeof(address);

        if (uv_tcp_getpeername(&t->uv.tcp, (struct sockaddr *)&address, &len) != 0)
                return;
        uv_ip_name((struct sockaddr *)&address, host, sizeof(host));
        /* the port is at the same offset for both families */
        snprintf(ret, TRANSPORT_PEER_BYTES, "%s port %u", host,
                 ntohs(((struct sockaddr_in *)&address)->sin_port));
}

void transport_peer(const struct transport *t, char ret[TRANSPORT_PEER_BYTES])
{
        struct ucred who;
        socklen_t who_len = sizeof(who);
        uv_os_fd_t fd;

        snprintf(ret, TRANSPORT_PEER_BYTES, "?");
        if (t->uv.handle.type == UV_TCP)
                name_tcp_peer(t, ret);
        else if (uv_fileno(&t->uv.handle, &fd) == 0 &&
                 getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_len) == 0)
                snprintf(ret, TRANSPORT_PEER_BYTES, "uid %u, pid %d", who.uid, who.pid);
        if (t->has_tls && t->state == TRANSPORT_OPEN) {
                char name[TLS_NAME_BYTES];
                size_t len = strlen(ret);

                tls_name(&t->tls, name);
                snprintf(ret + len, TRANSPORT_PEER_BYTES - len, ", certificate of %s", name);
        }
}

void transport_identify(const struct transport *t, struct peer *ret)
{
        uv_os_fd_t fd;

        *ret = (struct peer){0};
        if (!t->tcp && uv_fileno(&t->uv.handle, &fd) == 0)
                peer_of_socket(ret, fd);
        if (t->has_tls && t->state == TRANSPORT_OPEN)
                tls_identify(&t->tls, ret);
}

bool transport_is_revoked(const struct transport *t)
{
        return t->has_tls && t->state == TRANSPORT_OPEN && t->server->ctx &&
               tls_is_revoked(&t->tls, t->server);
}

uint64_t transport_source(const struct transport *t)
{
        struct sockaddr_storage address;
        int len = sizeof(address);
        uint64_t source = 0;

        if (!t->tcp || uv_tcp_getpeername(&t->uv.tcp, (struct sockaddr *)&address, &len) != 0)
                return 0;
        if (address.ss_family == AF_INET)
                return ((const struct sockaddr_in *)&address)->sin_addr.s_addr;
        memcpy(&source, &((const struct sockaddr_in6 *)&address)->sin6_addr, sizeof(source));
        return source;
}
