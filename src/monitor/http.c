/* libmicrohttpd polls its sockets through an epoll descriptor. The loop watches that descriptor and runs the
 * library when there is something to do, so it never blocks. A request that cannot be answered immediately
 * is suspended.
 *
 * Slow or silent HTTP clients are limited in three ways. The library closes a connection that sends nothing
 * for SILENCE_S, and one whose request is longer than REQUEST_BYTES. At CONNECTIONS_MAX / 2 connections a
 * new one replaces the oldest that is not being answered, so idle connections cannot lock a monitor out. */
#include "monitor/http.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netdb.h>

#include "base/address.h"
#include "base/err.h"
#include "base/log.h"
#include "base/memory.h"

enum {
        CONNECTIONS_MAX = 64, /* at half of these a new one replaces the oldest */
        SILENCE_S = 10,
        REQUEST_BYTES = 16 * 1024, /* request line and headers, and the library's data about them */
        BACKLOG = 32,
        RETRY_MS = 2000, /* between attempts to listen */
};

/* A TCP connection in the list of connections. */
struct http_connection {
        struct list list;
        int fd;
        bool suspended;
};

/* --- running the library --- */

static void on_timer(uv_timer_t *timer);

static void run(struct http *h)
{
        MHD_UNSIGNED_LONG_LONG timeout;

        if (h->state != HTTP_ON)
                return;
        MHD_run(h->server);
        if (MHD_get_timeout(h->server, &timeout) == MHD_YES)
                uv_timer_start(&h->timer, on_timer, timeout, 0);
        else
                uv_timer_stop(&h->timer);
}

static void on_timer(uv_timer_t *timer)
{
        run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        (void)status;
        (void)events;
        run(poll->data);
}

/* --- connections --- */

static struct http_connection *connection_of(struct MHD_Connection *c)
{
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

/* Shuts the oldest socket down; the library notices that and closes it. */
static void let_oldest_go(struct http *h)
{
        for (struct list *l = h->connections.next; l != &h->connections; l = l->next) {
                struct http_connection *c = container_of(l, struct http_connection, list);

                if (c->suspended)
                        continue;
                shutdown(c->fd, SHUT_RDWR);
                list_remove(&c->list); /* not a second time */
                return;
        }
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
        struct http *h = ctx;
        struct http_connection *c = *socket_context;

        if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
                list_remove(&c->list);
                h->connections_len--;
                free(c);
                return;
        }
        c = must_calloc(1, sizeof(*c));
        c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *socket_context = c;
        list_append(&h->connections, &c->list);
        if (++h->connections_len > CONNECTIONS_MAX / 2)
                let_oldest_go(h);
}

/* --- answering --- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
        if (MHD_add_response_header(response, name, value) != MHD_YES)
                abort();
}

static struct MHD_Response *make_response(const struct http_answer *answer)
{
        struct MHD_Response *response = MHD_create_response_from_buffer(
                answer->body.len, (void *)(uintptr_t)answer->body.ptr, MHD_RESPMEM_MUST_COPY);

        if (!response)
                abort();
        add_header(response, "Content-Type", answer->type);
        add_header(response, "Cache-Control", "no-store");
        add_header(response, "X-Content-Type-Options", "nosniff");
        add_header(response, "Referrer-Policy", "no-referrer");
        add_header(response, "Content-Security-Policy",
                   answer->policy ? answer->policy : "default-src 'none'; frame-ancestors 'none'");
        if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
                add_header(response, "Allow", "GET, HEAD");
        return response;
}

static enum MHD_Result queue_response(struct http_request *r)
{
        return MHD_queue_response(r->connection, r->status, r->response);
}

void http_answer(struct http *h, struct http_request *r, const struct http_answer *answer)
{
        assert(!r->response);
        h->answered++;
        r->response = make_response(answer);
        r->status = answer->status;
        if (!r->suspended)
                return;
        connection_of(r->connection)->suspended = false;
        MHD_resume_connection(r->connection);
        uv_timer_start(&h->timer, on_timer, 0, 0);
}

void http_answer_text(struct http *h, struct http_request *r, unsigned status, const char *text)
{
        char line[512];
        int len = snprintf(line, sizeof(line), "%s\n", text);
        struct http_answer answer = {.status = status, .type = "text/plain; charset=utf-8"};

        if (len >= (int)sizeof(line))
                len = sizeof(line) - 1;
        answer.body = (struct slice){line, (size_t)len};
        http_answer(h, r, &answer);
}

/* --- requests --- */

/* True if the request's Host is an address or localhost. Any other name may have been pointed here by a web
 * page that tries to reach the daemon through a browser (DNS rebinding). */
static bool is_local_host(const char *host)
{
        char name[ADDRESS_HOST_BYTES];
        const char *port;
        struct in6_addr addr;
        bool bracketed = host[0] == '[' && host[strlen(host) - 1] == ']';

        if (bracketed)
                snprintf(name, sizeof(name), "%.*s", (int)strlen(host) - 2, host + 1);
        else if (!address_split(host, name, &port))
                snprintf(name, sizeof(name), "%s", host);
        return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &addr) == 1 ||
               inet_pton(AF_INET6, name, &addr) == 1;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
        return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Answers a request that the owner must not get, and returns true for it. */
static bool refuse(struct http *h, struct http_request *r, const char *method)
{
        const char *host = header(r->connection, MHD_HTTP_HEADER_HOST);
        const char *length = header(r->connection, MHD_HTTP_HEADER_CONTENT_LENGTH);

        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
                http_answer_text(h, r, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
        else if ((length && strcmp(length, "0") != 0) ||
                 header(r->connection, MHD_HTTP_HEADER_TRANSFER_ENCODING))
                http_answer_text(h, r, MHD_HTTP_BAD_REQUEST, "a request must have no body");
        else if (h->loopback && host && !is_local_host(host))
                http_answer_text(h, r, MHD_HTTP_FORBIDDEN, "use an IP address or localhost");
        else
                return false;
        return true;
}

static void suspend(struct http_request *r)
{
        r->suspended = true;
        connection_of(r->connection)->suspended = true;
        MHD_suspend_connection(r->connection);
}

/* The library calls this when a request's headers have arrived, again after them, and when a request is
 * resumed. */
static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_len, void **request_context)
{
        struct http *h = ctx;
        struct http_request *r = *request_context;

        (void)version;
        (void)upload;
        if (r) {
                *upload_len = 0;
                return queue_response(r);
        }
        r = must_calloc(1, sizeof(*r));
        *request_context = r;
        list_init(&r->queue);
        r->connection = connection;
        if (strlen(url) < sizeof(r->path))
                memcpy(r->path, url, strlen(url));
        if (refuse(h, r, method))
                return queue_response(r); /* an early answer, so that no body is read */
        h->on_request(h->ctx, r);
        if (!r->response)
                suspend(r);
        return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode why)
{
        struct http_request *r = *request_context;

        (void)ctx;
        (void)connection;
        (void)why;
        if (!r)
                return;
        if (r->response)
                MHD_destroy_response(r->response);
        free(r);
        *request_context = NULL;
}

/* Errors of HTTP clients are not logged. */
static void on_library_log(void *ctx, const char *fmt, va_list args)
{
        char line[256];

        (void)ctx;
        vsnprintf(line, sizeof(line), fmt, args);
        log_debug("http: %s", line);
}

/* --- listening --- */

/* Returns a listening socket, or a negative errno. */
static int listen_on(const struct sockaddr *addr, socklen_t addr_len)
{
        int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1;
        int err;

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 && bind(fd, addr, addr_len) == 0 &&
            listen(fd, BACKLOG) == 0)
                return fd;
        err = -errno;
        close(fd);
        return err;
}

static void log_bound(const struct http *h, int fd)
{
        char host[ADDRESS_HOST_BYTES];
        char port[ADDRESS_PORT_BYTES];
        int family = address_of_socket(fd, host, port);

        if (family < 0)
                return;
        log_info(family == AF_INET6 ? "status and metrics: http://[%s]:%s/"
                                    : "status and metrics: http://%s:%s/",
                 host, port);
        if (!h->loopback)
                log_warn(
                        "%s: everybody who can connect to %s can read the status page (clients' addresses and reject "
                        "messages, no secrets)",
                        h->setting, host);
}

/* Takes over @fd. Returns 0 or a negative errno. */
static int start_server_take(struct http *h, int fd)
{
        h->server = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access, h,
                MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                (unsigned)SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES,
                MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
        if (!h->server) {
                close(fd);
                return -ENOMEM;
        }
        if (uv_poll_init(h->loop, &h->poll,
                         MHD_get_daemon_info(h->server, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd) == 0)
                return 0;
        MHD_stop_daemon(h->server); /* also closes @fd */
        h->server = NULL;
        return -EMFILE;
}

/* Returns 0 or a negative errno. */
static int listen_now(struct http *h)
{
        int fd = listen_on((const struct sockaddr *)&h->addr, h->addr_len);
        int err = fd < 0 ? fd : start_server_take(h, fd);

        if (err)
                return err;
        h->state = HTTP_ON;
        h->poll.data = h;
        uv_poll_start(&h->poll, UV_READABLE, on_poll);
        log_bound(h, fd);
        return 0;
}

static void log_failure(struct http *h, int err)
{
        if (h->listen_err == err)
                return;
        h->listen_err = err;
        if (err == -EADDRINUSE)
                log_warn(
                        "%s %s: another program listens there, maybe another boris-ingestd: no status page "
                        "or metrics until the port is free; ingestion continues (name another port, or leave it "
                        "empty for none)",
                        h->setting, h->address);
        else
                log_warn("%s %s: %s: no status page or metrics until listening succeeds; ingestion "
                         "continues (name another address, or leave it empty for none)",
                         h->setting, h->address, strerror(-err));
}

static void on_retry(uv_timer_t *timer);

/* A failure to serve the status page must not stop the ingestion of records. */
static void try_to_listen(struct http *h)
{
        int err = listen_now(h);

        if (err) {
                log_failure(h, err);
                uv_timer_start(&h->timer, on_retry, RETRY_MS, 0);
        }
}

static void on_retry(uv_timer_t *timer)
{
        try_to_listen(timer->data);
}

int http_open(struct http *h, uv_loop_t *loop, const char *setting, const char *address,
              void (*on_request)(void *ctx, struct http_request *r), void *ctx,
              char ret_error[HTTP_ERROR_BYTES])
{
        struct addrinfo *found;
        const char *why;

        *h = (struct http){
                .loop = loop, .setting = setting, .address = address, .on_request = on_request, .ctx = ctx};
        list_init(&h->connections);
        if (address_resolve(address, &found, &why) != 0) {
                snprintf(ret_error, HTTP_ERROR_BYTES, "%s %s: %s", setting, address, why);
                return ERR_CONFIG;
        }
        h->loopback = address_is_loopback(found->ai_addr);
        h->addr_len = found->ai_addrlen;
        memcpy(&h->addr, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        h->state = HTTP_WAITING;
        uv_timer_init(loop, &h->timer);
        h->timer.data = h;
        try_to_listen(h);
        return 0;
}

void http_close(struct http *h)
{
        enum http_state before = h->state;

        if (before == HTTP_OFF)
                return;
        h->state = HTTP_OFF;
        uv_close((uv_handle_t *)&h->timer, NULL);
        if (before != HTTP_ON)
                return;
        uv_poll_stop(&h->poll); /* before the library closes the descriptor */
        uv_close((uv_handle_t *)&h->poll, NULL);
        MHD_stop_daemon(h->server);
        h->server = NULL;
}
