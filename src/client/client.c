/* The window holds all unsettled lines in order. It is filled while it has room and sent as the socket
 * accepts it; an ack removes lines from its front. A broken connection is replaced; the new one begins with
 * the window's first line, which is line 1 of that connection. Writing and reading alternate by poll(),
 * since the daemon stops reading from a client that does not read its replies.
 *
 * A reject is reported with the ack that covers its line: without that ack the line is sent again, and may
 * be accepted. Only whole lines are sent, so that stopping never cuts one in two. */
#include "client/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/visible.h"

enum {
        WINDOW_BYTES = 32 * 1024 * 1024, /* some batches more than are acked */
        WINDOW_LINES = 100000,
        LINE_MAX_BYTES = 64 * 1024 * 1024, /* the maximum of limits.max_line_bytes */
        SEND_BYTES = 256 * 1024,
        RECEIVE_BYTES = 64 * 1024,
        REPLY_MAX_BYTES = 1024 * 1024,
        CONNECT_MS = 10000,
        PAUSE_FIRST_MS = 100,
        PAUSE_MAX_MS = 5000,
};

/* --- the window --- */

static size_t count_lines(const char *p, const char *end)
{
        size_t n = 0;

        while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
                n++;
                p++;
        }
        return n;
}

static bool has_room(const struct client *c)
{
        return c->lines == 0 || (c->lines < WINDOW_LINES && c->window.len - c->first < WINDOW_BYTES);
}

static bool input_is_over(const struct client *c)
{
        return c->stopped || c->input != CLIENT_INPUT_MORE;
}

static bool everything_settled(const struct client *c)
{
        return input_is_over(c) && c->first == c->whole;
}

/* Frees the front of the window once it is large enough to justify the copying. */
static void compact(struct client *c)
{
        size_t done = c->first < c->sent ? c->first : c->sent;

        if (done == 0 || done < c->window.len - done)
                return;
        c->window.len -= done;
        memmove(c->window.data, c->window.data + done, c->window.len);
        c->first -= done;
        c->sent -= done;
        c->reached -= done < c->reached ? done : c->reached;
        c->whole -= done;
}

/* A line longer than any daemon accepts is cut; the beginning is enough for the daemon to reject it. */
static void cut_endless_line(struct client *c)
{
        if (c->window.len - c->whole > LINE_MAX_BYTES + 1)
                c->window.len = c->whole + LINE_MAX_BYTES + 1;
}

static void take_input(struct client *c)
{
        size_t before;
        const char *end;

        compact(c);
        before = c->window.len;
        c->input = c->ops->read(c->ctx, &c->window);
        if (c->window.len > before) {
                c->lines += count_lines(c->window.data + before, c->window.data + c->window.len);
                end = memrchr(c->window.data + before, '\n', c->window.len - before);
                if (end)
                        c->whole = (size_t)(end - c->window.data) + 1;
        }
        cut_endless_line(c);
        if (c->input == CLIENT_INPUT_END && c->window.len > c->whole) { /* the last line has no line feed */
                c->whole = c->window.len;
                c->lines++;
        }
}

/* End of the line that begins at @at, including its line feed; the last line may have none. */
static size_t line_end(const struct client *c, size_t at)
{
        const char *newline = memchr(c->window.data + at, '\n', c->whole - at);

        return newline ? (size_t)(newline - c->window.data) + 1 : c->whole;
}

/* Starts no further line. The rest of a line already begun is still sent. */
static void stop(struct client *c)
{
        size_t cut = c->first;

        while (cut < c->sent)
                cut = line_end(c, cut);
        for (size_t at = cut; at < c->whole; at = line_end(c, at))
                c->lines--;
        c->whole = cut;
        c->window.len = cut;
        c->stopped = true;
}

/* Removes one line from the front. Returns false if none was sent. The daemon may settle a line before its
 * end has arrived, if it is too long; the rest is sent nevertheless. */
static bool settle_line(struct client *c)
{
        size_t end;

        if (c->first >= c->sent)
                return false;
        end = line_end(c, c->first);
        c->bytes += end - c->first;
        c->first = end;
        c->lines--;
        c->counts.lines++;
        return true;
}

/* --- lines that are stored again when they are sent again --- */

/* True for a spending record with neither collectedAt nor id. */
static bool is_anonymous(struct slice line, struct json_scratch *scratch)
{
        struct json_reader reader;
        struct json_string key;
        struct json_value value;

        json_reader_init(&reader, line, scratch);
        if (!json_object_open(&reader))
                return false;
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                if (!json_read(&reader, &value))
                        return false;
                if (slice_eq(key.raw, SLICE_LIT("collectedAt")) || slice_eq(key.raw, SLICE_LIT("id")))
                        return false;
                if (slice_eq(key.raw, SLICE_LIT("kind")) && !slice_eq(value.raw, SLICE_LIT("spending")))
                        return false;
        }
        return json_finish(&reader);
}

/* Counts such lines among those sent; *ret_first is the number of the first. */
static uint64_t count_anonymous(const struct client *c, uint64_t *ret_first)
{
        struct json_scratch scratch = {0};
        uint64_t line_no = c->counts.lines;
        uint64_t n = 0;

        for (size_t at = c->first, end; at < c->sent; at = end) {
                end = line_end(c, at);
                line_no++;
                if (end <= c->sent && is_anonymous((struct slice){c->window.data + at, end - at}, &scratch) &&
                    n++ == 0)
                        *ret_first = line_no;
        }
        json_scratch_deinit(&scratch);
        return n;
}

/* --- replies --- */

static bool fail(struct client *c, const char *what, const char *detail)
{
        char text[CONNECT_ERROR_BYTES * 2];

        snprintf(text, sizeof(text), "%s%s", what, detail);
        visible_copy(text, c->error, sizeof(c->error));
        return false;
}

static bool fail_hopelessly(struct client *c, const char *what, const char *detail)
{
        c->hopeless = true;
        return fail(c, what, detail);
}

/* Returns the number, among all lines sent, of line @n of the connection; 0 for the hello. */
static uint64_t line_of(const struct client *c, uint64_t n)
{
        uint64_t hello = c->options.hello ? 1 : 0;

        return n > hello ? c->before.lines + n - hello : 0;
}

static uint64_t number_in(const cJSON *reply, const char *key)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(reply, key);

        return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

static const char *text_in(const cJSON *reply, const char *key)
{
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, key));

        return text ? text : "";
}

static void forget_rejects(struct client *c)
{
        for (size_t i = 0; i < c->rejects_len; i++)
                cJSON_Delete(c->rejects[i].owner);
        c->rejects_len = 0;
}

/* Takes over @reply. */
static bool on_reject(struct client *c, cJSON *reply)
{
        uint64_t line = line_of(c, number_in(reply, "reject"));

        if (line <= c->counts.lines || line > c->counts.lines + c->lines || c->rejects_len == c->lines) {
                cJSON_Delete(reply);
                return fail_hopelessly(c, "the daemon rejected a line that was not sent", "");
        }
        if (c->rejects_len == c->rejects_cap)
                c->rejects = array_grow(c->rejects, &c->rejects_cap, sizeof(*c->rejects));
        c->rejects[c->rejects_len++] = (struct client_reject){
                line, text_in(reply, "code"), text_in(reply, "field"), text_in(reply, "message"), reply};
        return true;
}

static int by_line(const void *a, const void *b)
{
        const struct client_reject *x = a;
        const struct client_reject *y = b;

        return (x->line > y->line) - (x->line < y->line);
}

static void tell_settled_rejects(struct client *c)
{
        size_t told = 0;

        if (c->rejects_len == 0)
                return;
        qsort(c->rejects, c->rejects_len, sizeof(*c->rejects), by_line);
        for (; told < c->rejects_len && c->rejects[told].line <= c->counts.lines; told++) {
                c->ops->on_reject(c->ctx, &c->rejects[told]);
                cJSON_Delete(c->rejects[told].owner);
        }
        c->rejects_len -= told;
        memmove(c->rejects, c->rejects + told, c->rejects_len * sizeof(*c->rejects));
}

static bool on_ack(struct client *c, const cJSON *ack)
{
        uint64_t lines = line_of(c, number_in(ack, "ack"));

        while (c->counts.lines < lines) {
                if (!settle_line(c))
                        return fail_hopelessly(c, "the daemon acks a line that was not sent", "");
        }
        c->counts.stored = c->before.stored + number_in(ack, "stored");
        c->counts.duplicate = c->before.duplicate + number_in(ack, "duplicate");
        c->counts.rejected = c->before.rejected + number_in(ack, "rejected");
        c->counts.spooled = c->before.spooled + number_in(ack, "spooled");
        tell_settled_rejects(c);
        return true;
}

static bool on_closing(struct client *c, const char *why)
{
        if (strcmp(why, "not_allowed") == 0)
                return fail_hopelessly(
                        c,
                        "the daemon does not admit this user (listen.allow_users, allow_groups, [client NAME])",
                        "");
        if (strcmp(why, "tls_required") == 0)
                return fail_hopelessly(
                        c, "the port requires TLS, which this client does not speak (use listen.unix)", "");
        if (strcmp(why, "http_request") == 0 || strcmp(why, "other_protocol") == 0)
                return fail_hopelessly(
                        c, "the daemon takes what was sent for another protocol: remove the first line", "");
        if (strcmp(why, "too_many_connections") == 0)
                return fail(c, "the daemon has too many connections (limits.max_connections)", "");
        return fail(c, "the daemon closed the connection: ", why);
}

/* Returns false if the connection is unusable. */
static bool on_reply(struct client *c, const char *line, size_t len)
{
        cJSON *reply = cJSON_ParseWithLength(line, len);
        bool ok;

        if (cJSON_HasObjectItem(reply, "reject"))
                return on_reject(c, reply);
        if (cJSON_HasObjectItem(reply, "ack")) {
                ok = on_ack(c, reply);
        } else if (cJSON_HasObjectItem(reply, "closing")) {
                ok = on_closing(c, text_in(reply, "closing"));
        } else {
                char excerpt[80];

                snprintf(excerpt, sizeof(excerpt), "%.*s", (int)len, line);
                ok = fail_hopelessly(c, "this is not boris-ingestd: it sent ", excerpt);
        }
        cJSON_Delete(reply);
        return ok;
}

/* --- a connection --- */

/* Returns false at the end of the stream. */
static bool receive_some(struct client *c)
{
        char *p = buf_reserve(&c->replies, RECEIVE_BYTES);
        ssize_t n = recv(c->fd, p, RECEIVE_BYTES, 0);
        char *start = c->replies.data;
        const char *end;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n < 0)
                return fail(c, "the connection broke: ", strerror(errno));
        if (n == 0)
                return fail(c, "the connection ended", "");
        c->replies.len += (size_t)n;
        while ((end = memchr(start, '\n', (size_t)(c->replies.data + c->replies.len - start)))) {
                if (!on_reply(c, start, (size_t)(end - start)))
                        return false;
                start = c->replies.data + (end - c->replies.data) + 1;
        }
        c->replies.len -= (size_t)(start - c->replies.data);
        memmove(c->replies.data, start, c->replies.len);
        if (c->replies.len > REPLY_MAX_BYTES)
                return fail_hopelessly(c, "this is not boris-ingestd: a reply is too long", "");
        return true;
}

static size_t hello_left(const struct client *c)
{
        return c->options.hello ? strlen(c->options.hello) - c->hello_sent : 0;
}

/* Returns false if nothing more can be sent; replies may still arrive. */
static bool send_some(struct client *c)
{
        bool hello = hello_left(c) > 0;
        const char *data = hello ? c->options.hello + c->hello_sent : c->window.data + c->sent;
        size_t len = hello ? hello_left(c) : c->whole - c->sent;
        ssize_t n = send(c->fd, data, len < SEND_BYTES ? len : SEND_BYTES, MSG_NOSIGNAL);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        *(hello ? &c->hello_sent : &c->sent) += (size_t)n;
        c->reached = c->sent > c->reached ? c->sent : c->reached;
        return true;
}

static bool open_connection(struct client *c)
{
        int on = 1;
        int idle = 30; /* seconds: detects a peer that is gone even if nothing is to be sent */
        int connect_ms = c->options.connect_ms > 0 ? c->options.connect_ms : CONNECT_MS;
        char error[CONNECT_ERROR_BYTES];

        if (c->options.path)
                c->fd = connect_unix(c->options.path, connect_ms, c->options.stop_fd, error);
        else
                c->fd = connect_tcp(c->options.tcp, connect_ms, c->options.stop_fd, error);
        if (c->fd < 0) {
                c->hopeless = errno == EACCES || errno == EPERM || errno == EINVAL || errno == ENAMETOOLONG;
                fail(c, "cannot connect: ", error);
                return false;
        }
        if (!c->options.path) {
                setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
                setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
        }
        c->connections++;
        c->connected = true;
        c->before = c->counts;
        c->sent = c->first;
        c->hello_sent = 0;
        c->half_closed = false;
        c->replies.len = 0;
        if (c->ops->on_connection)
                c->ops->on_connection(c->ctx, c->fd);
        return true;
}

static void close_connection(struct client *c)
{
        forget_rejects(c);
        if (c->fd >= 0 && c->ops->on_connection)
                c->ops->on_connection(c->ctx, -1);
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        c->connected = false;
}

/* Uses one connection until it ends or everything is settled. */
static void converse(struct client *c)
{
        bool sending = true;
        bool open = true;

        while (open && !c->hopeless && !everything_settled(c)) {
                bool to_send = sending && (c->sent < c->whole || hello_left(c) > 0);
                bool to_read = !input_is_over(c) && has_room(c);
                struct pollfd p[] = {
                        {.fd = c->fd, .events = (short)(POLLIN | (to_send ? POLLOUT : 0))},
                        {.fd = to_read ? c->options.input_fd : -1, .events = POLLIN},
                        {.fd = c->stopped ? -1 : c->options.stop_fd, .events = POLLIN},
                };

                if (sending && input_is_over(c) && !to_send && !c->half_closed)
                        c->half_closed = shutdown(c->fd, SHUT_WR) == 0;
                if (poll(p, 3, to_read && c->options.input_fd < 0 ? 0 : c->options.turn_ms) < 0 &&
                    errno != EINTR)
                        abort(); /* out of memory */
                if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
                        open = receive_some(c);
                if (open && p[2].revents)
                        stop(c);
                if (open && p[0].revents & POLLOUT && (c->sent < c->whole || hello_left(c) > 0))
                        sending = send_some(c);
                if (!input_is_over(c) && to_read && (p[1].revents || c->options.input_fd < 0))
                        take_input(c);
                c->ops->on_turn(c->ctx);
        }
}

/* --- connections, one after the other --- */

/* Reads input until there is something to send; returns false if there will not be. */
static bool wait_for_work(struct client *c)
{
        while (c->first == c->whole && !input_is_over(c) && !c->hopeless) {
                struct pollfd p[] = {{.fd = c->options.input_fd, .events = POLLIN},
                                     {.fd = c->options.stop_fd, .events = POLLIN}};

                if (poll(p, 2, c->options.input_fd < 0 ? 0 : c->options.turn_ms) < 0 && errno != EINTR)
                        abort(); /* out of memory */
                if (p[1].revents)
                        stop(c);
                else if (p[0].revents || c->options.input_fd < 0)
                        take_input(c);
                c->ops->on_turn(c->ctx);
        }
        return c->first < c->whole && !c->hopeless;
}

/* Returns false if stopped on request. */
static bool pause_for(struct client *c, int64_t ms)
{
        int64_t until = clock_monotonic_ms() + ms;
        int64_t left;

        while ((left = until - clock_monotonic_ms()) > 0) {
                struct pollfd p = {.fd = c->options.stop_fd, .events = POLLIN};
                bool turn = c->options.turn_ms >= 0 && c->options.turn_ms < left;

                if (poll(&p, 1, turn ? c->options.turn_ms : (int)left) > 0)
                        return false;
                c->ops->on_turn(c->ctx);
                if (c->hopeless)
                        return false;
        }
        return true;
}

/* Randomised, so that not all clients of a restarted daemon reconnect at once. */
static int64_t pause_after(unsigned failures)
{
        int64_t most = failures < 7 ? PAUSE_FIRST_MS << (failures - 1) : PAUSE_MAX_MS;

        if (most > PAUSE_MAX_MS)
                most = PAUSE_MAX_MS;
        return most / 2 + clock_now_us() % (most / 2);
}

static bool is_stop_asked(const struct client *c)
{
        struct pollfd p = {.fd = c->options.stop_fd, .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

/* After a connection ended early: reports it and waits. Returns false if there should be no further attempt. */
static bool wait_to_retry(struct client *c, unsigned failures, int64_t since)
{
        int64_t pause = pause_after(failures);
        uint64_t first = 0;
        uint64_t anonymous;

        if (c->connections == 0 && !c->options.retry_at_first)
                return false;
        if (clock_monotonic_ms() + pause - since > c->options.retry_ms)
                return false;
        anonymous = count_anonymous(c, &first);
        c->sent = c->first;
        c->ops->on_trouble(c->ctx, (int)pause, anonymous, first);
        return pause_for(c, pause);
}

enum client_end client_run(struct client *c)
{
        unsigned failures = 0;
        int64_t since = 0;

        while (wait_for_work(c)) {
                uint64_t settled = c->counts.lines;

                if (failures == 0)
                        since = clock_monotonic_ms();
                if (open_connection(c))
                        converse(c);
                close_connection(c);
                if (c->hopeless)
                        return CLIENT_FAILED;
                if (everything_settled(c))
                        break;
                if (c->stopped || is_stop_asked(c))
                        return CLIENT_STOPPED;
                if (c->counts.lines > settled) {
                        failures = 0;
                        since = clock_monotonic_ms();
                }
                if (c->first == c->whole)
                        continue; /* nothing is unacked; reconnect when there is something to send */
                failures++;
                if (!wait_to_retry(c, failures, since))
                        return is_stop_asked(c) && !c->hopeless ? CLIENT_STOPPED : CLIENT_FAILED;
        }
        if (c->hopeless)
                return CLIENT_FAILED;
        if (c->stopped)
                return CLIENT_STOPPED;
        return c->input == CLIENT_INPUT_FAILED ? CLIENT_NO_INPUT : CLIENT_DONE;
}

void client_give_up(struct client *c, const char *why)
{
        fail_hopelessly(c, why, "");
}

void client_init(struct client *c, const struct client_options *options, const struct client_ops *ops,
                 void *ctx)
{
        *c = (struct client){.options = *options, .ops = ops, .ctx = ctx, .fd = -1};
}

void client_deinit(struct client *c)
{
        close_connection(c);
        buf_deinit(&c->window);
        buf_deinit(&c->replies);
        free(c->rejects);
}
