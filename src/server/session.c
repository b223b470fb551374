/* A session reads into blocks, cuts lines where they lie and hands each to the sink. Replies gather in a
 * buffer that is sent once a loop turn (in the prepare handle, when all callbacks of the turn have run), with
 * one cumulative ack at its end.
 *
 * A session stops taking lines, and then reading, while the pipeline has no room or its client leaves too
 * many replies unread; so what a client can make the daemon hold is bounded. What was received stays in the
 * block until its turn comes.
 *
 * Ends: the client shuts down its sending side (EOF: settle all, last ack, close); the daemon drains (settle
 * what was received, last ack, "closing", shut down, linger, close); the connection breaks (CLOSED at once;
 * the lines in flight still go their way, and the session is freed when the last of them is settled). */
#include "server/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
        REPLIES_HIGH = 64 * 1024, /* bytes of unread replies at which a session stops taking lines */
        READ_ROOM_MIN = 8 * 1024, /* a block with less room than this is not read into */
        LINGER_MS = 1000,
        REFUSED_MAX = 128, /* with so many clients being turned away, none gets to linger */
        CIPHER_BYTES = 64 * 1024,
        GREETING_MS = 10000, /* for a TLS client to show its certificate */
        STRANGERS_MAX = 64,  /* with so many that have not, the oldest has to go */
};

static size_t replies_pending(const struct session *s)
{
        return s->out.len + s->sending.len + s->wire.len + tls_unsent(&s->tls);
}

static bool is_stranger(const struct session *s)
{
        return s->has_tls && !s->greeted;
}

static void mark_dirty(struct session *s)
{
        if (list_empty(&s->dirty))
                list_append(&s->set->dirty, &s->dirty);
}

/* --- closing --- */

static void on_handle_closed(uv_handle_t *handle)
{
        struct session *s = handle->data;

        if (--s->handles == 0)
                mark_dirty(s);
}

static void stop_reading(struct session *s)
{
        if (s->reading)
                uv_read_stop(&s->uv.stream);
        s->reading = false;
}

static void log_close(struct session *s)
{
        const struct line_from from = {.peer = s->peer, .connection = s->number};
        const struct client_log_end end = {.lines = s->acks.begun,
                                           .counts = s->acks.counts,
                                           .in_flight = acks_in_flight(&s->acks),
                                           .turned_away = s->refused};

        client_log_close(&s->set->log, &from, &end);
}

/* The connection ends here; lines in flight go on. */
static void close_now(struct session *s)
{
        if (s->state == SESSION_CLOSED)
                return;
        s->state = SESSION_CLOSED;
        stop_reading(s);
        list_remove(&s->waiting);
        block_unref(s->block);
        s->block = NULL;
        if (s->refused)
                s->set->refused--;
        else if (is_stranger(s))
                s->set->strangers--;
        else
                s->set->len--;
        uv_close(&s->uv.handle, on_handle_closed);
        uv_close((uv_handle_t *)&s->linger, on_handle_closed);
        log_close(s);
}

static void log_reject(struct session *s, uint64_t line_no, const struct reject *reject)
{
        const struct line_from from = {s->peer, s->number, line_no};

        client_log_reject(&s->set->log, &s->log, &from, reject);
}

static void free_session(struct session *s)
{
        struct sessions *set = s->set;

        list_remove(&s->all);
        list_remove(&s->dirty);
        buf_deinit(&s->out);
        buf_deinit(&s->sending);
        buf_deinit(&s->wire);
        tls_deinit(&s->tls);
        acks_deinit(&s->acks);
        free(s);
        set->ops->on_gone(set->ctx);
}

static void on_linger_over(uv_timer_t *timer)
{
        close_now(timer->data);
}

static void on_shut_down(uv_shutdown_t *req, int status)
{
        if (status < 0 && status != UV_ECANCELED)
                close_now(req->data);
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
        (void)buf;
        if (nread < 0)
                close_now(stream->data);
}

/* Everything was sent. A close with bytes unread would make the kernel reset the connection, and the client
 * might lose the replies; so wait until it closes, too. */
static void end_sending(struct session *s, bool client_ended)
{
        if (client_ended || (s->refused && s->set->refused > REFUSED_MAX)) {
                close_now(s);
                return;
        }
        stop_reading(s);
        s->state = SESSION_LINGERING;
        s->shutdown.data = s;
        if (uv_shutdown(&s->shutdown, &s->uv.stream, on_shut_down) != 0 ||
            uv_read_start(&s->uv.stream, on_linger_alloc, on_linger_read) != 0) {
                close_now(s);
                return;
        }
        s->reading = true;
        uv_timer_start(&s->linger, on_linger_over, LINGER_MS, 0);
}

/* --- sending --- */

static void after_sending(struct session *s)
{
        if (s->state == SESSION_LAST && replies_pending(s) == 0)
                end_sending(s, s->client_ended);
        else if (s->state == SESSION_OPEN || s->state == SESSION_EOF)
                session_turn(s);
}

static void on_written(uv_write_t *req, int status)
{
        struct session *s = req->data;

        s->sending.len = 0;
        if (status < 0) {
                close_now(s);
                return;
        }
        mark_dirty(s); /* acks may have moved meanwhile */
        after_sending(s);
}

static bool everything_settled(const struct session *s)
{
        return !s->unparsed && s->in_flight == 0;
}

/* Before what is settled counts as acked. */
static void note_ack(struct session *s)
{
        struct sessions *set = s->set;
        uint64_t longest = arrivals_ack(&s->arrivals, s->acked, s->acks.settled, clock_monotonic_us(),
                                        &set->ack_latency);

        if (set->ack_max_us < longest)
                set->ack_max_us = longest;
}

static void say_ack(struct session *s)
{
        note_ack(s);
        reply_ack(&s->out, &s->acks, s->set->with_spool);
        s->acked = s->acks.settled;
        s->ack_told = true;
}

/* Why the session is to end although its client did not end it; NULL where it is not. */
static const char *closing_word(const struct session *s)
{
        if (s->state == SESSION_EOF && acks_in_flight(&s->acks) > 0)
                return "shutdown"; /* lines were abandoned, or are not settled yet: then it is not said now */
        if (s->state != SESSION_OPEN)
                return NULL;
        return s->set->draining ? "shutdown" : s->idle ? "idle" : NULL;
}

/* Adds what there is to say at the end of a loop turn. */
static void say(struct session *s)
{
        const char *closing = closing_word(s);
        bool last = (s->state == SESSION_EOF || closing) && (everything_settled(s) || s->set->ending);

        if (s->acks.settled > s->acked || (last && !s->ack_told))
                say_ack(s);
        if (last && closing)
                reply_closing(&s->out, closing);
        if (last) {
                s->client_ended = s->state == SESSION_EOF;
                s->state = SESSION_LAST;
                list_remove(&s->waiting); /* it takes no more lines */
        }
}

/* Sends what gathered: at once what the socket takes, the rest when it takes more. */
static void send_replies(struct session *s)
{
        struct buf *out = s->has_tls ? &s->wire : &s->out;
        uv_buf_t buf = uv_buf_init(out->data, (unsigned)out->len);
        struct buf swap = s->sending;
        int sent;

        sent = uv_try_write(&s->uv.stream, &buf, 1);
        if (sent == (int)out->len) {
                out->len = 0;
                after_sending(s);
                return;
        }
        if (sent < 0 && sent != UV_EAGAIN) {
                close_now(s);
                return;
        }
        sent = sent > 0 ? sent : 0;
        s->sending = *out;
        *out = swap;
        buf = uv_buf_init(s->sending.data + sent, (unsigned)s->sending.len - (unsigned)sent);
        s->write.data = s;
        if (uv_write(&s->write, &s->uv.stream, &buf, 1, on_written) != 0)
                close_now(s);
}

/* Encrypts what there is to say. False where that cannot be, the client not having greeted: the end. */
static bool seal(struct session *s)
{
        if (s->greeted) {
                tls_write(&s->tls, s->out.data, s->out.len);
                s->out.len = 0;
                if (s->state == SESSION_LAST && !s->tls_finished) {
                        tls_finish(&s->tls);
                        s->tls_finished = true;
                }
        } else if (s->state == SESSION_LAST) {
                close_now(s);
                return false;
        }
        tls_take(&s->tls, &s->wire);
        return true;
}

void session_flush(struct session *s)
{
        if (s->state == SESSION_CLOSED) {
                if (s->handles == 0 && s->in_flight == 0)
                        free_session(s);
                return;
        }
        if (s->sending.len > 0 || s->state == SESSION_LINGERING)
                return;
        say(s);
        if (s->has_tls && !seal(s))
                return;
        if (s->has_tls ? s->wire.len > 0 : s->out.len > 0)
                send_replies(s);
        else if (s->state == SESSION_LAST)
                end_sending(s, s->client_ended);
}

void session_settle(struct session *s, uint64_t line_no, enum line_outcome outcome,
                    const struct reject *reject)
{
        if (outcome == LINE_REJECTED)
                log_reject(s, line_no, reject);
        if (outcome == LINE_REJECTED && s->state != SESSION_CLOSED)
                reply_reject(&s->out, line_no, reject);
        assert(s->in_flight > 0);
        s->in_flight--;
        acks_settle(&s->acks, line_no, outcome);
        mark_dirty(s);
}

void session_abandon(struct session *s)
{
        assert(s->in_flight > 0);
        s->in_flight--;
        mark_dirty(s);
}

/* --- receiving --- */

static void on_line(struct session *s, enum frame_result result, struct slice line)
{
        uint64_t line_no = acks_begin(&s->acks);

        s->set->lines++;
        s->last_line = uv_now(s->set->loop);
        s->in_flight++;
        if (result == FRAME_TOO_LONG) {
                s->set->ops->on_too_long(s->set->ctx, s, line_no);
        } else if (line.len == 0) {
                s->set->empty++;
                s->in_flight--;
                acks_settle(&s->acks, line_no, LINE_EMPTY);
                mark_dirty(s);
        } else {
                s->set->ops->on_line(s->set->ctx, s, line_no, line, s->block);
        }
}

static bool has_room(const struct session *s)
{
        const struct session_ops *ops = s->set->ops;

        return ops->has_room(s->set->ctx) && ops->has_room_for(s->set->ctx, s);
}

static bool may_take_lines(const struct session *s)
{
        return replies_pending(s) < REPLIES_HIGH && has_room(s);
}

/* Cuts lines and hands them on, as long as there is room. */
static void take_lines(struct session *s)
{
        while (s->unparsed && may_take_lines(s)) {
                struct slice in = {s->block->data + s->parsed, s->block->len - s->parsed};
                struct slice line;
                size_t used;
                enum frame_result result =
                        frame_next(&s->frame, in, s->set->max_line, s->state == SESSION_EOF, &line, &used);

                s->parsed += used;
                if (result == FRAME_MORE)
                        s->unparsed = false;
                else
                        on_line(s, result, line);
        }
        arrivals_note(&s->arrivals, s->acked, s->acks.begun, s->read_us);
        if (s->block && s->parsed == s->block->len) {
                block_unref(s->block);
                s->block = NULL;
                s->parsed = 0;
                s->unparsed = false;
        }
}

/* Room for bytes of lines: in the block, or in a new one to which an unfinished line moves. */
static uv_buf_t make_room(struct session *s)
{
        struct block *old = s->block;

        if (!old || old->cap - old->len < READ_ROOM_MIN) {
                size_t unfinished = old ? old->len - s->parsed : 0;

                s->block = block_new(s->set->memory, unfinished * 2);
                if (old)
                        memcpy(s->block->data, old->data + s->parsed, unfinished);
                s->block->len = unfinished;
                s->parsed = 0;
                block_unref(old);
        }
        return uv_buf_init(s->block->data + s->block->len, (unsigned)(s->block->cap - s->block->len));
}

/* What is encrypted is deciphered at once: one buffer will do for all. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
        static _Thread_local char cipher[CIPHER_BYTES];
        struct session *s = handle->data;

        (void)suggested;
        *ret = s->has_tls ? uv_buf_init(cipher, sizeof(cipher)) : make_room(s);
}

static void log_tls_failure(struct session *s, const char *reason)
{
        uint64_t failures = log_limit_pass(&s->set->tls_failures, uv_now(s->set->loop));

        s->set->refusals[REFUSED_TLS]++;
        if (failures > 0)
                log_event(LOG_LEVEL_WARN,
                          LOG_FIELDS(.message_id = LOG_ID_CONNECTION_REFUSED, .connection = s->number,
                                     .peer = s->peer),
                          "connection %" PRIu64 " of %s: TLS failed: %s (%" PRIu64
                          " since the last such line)",
                          s->number, s->peer, reason, failures);
}

static void on_greeting_over(uv_timer_t *timer)
{
        log_tls_failure(timer->data, "it showed no certificate in time");
        close_now(timer->data);
}

static void on_tls_broken(struct session *s)
{
        char reason[TLS_ERROR_BYTES];
        uv_buf_t alert;

        tls_reason(reason);
        tls_take(&s->tls, &s->wire);
        alert = uv_buf_init(s->wire.data, (unsigned)s->wire.len);
        if (s->sending.len == 0 && alert.len > 0)
                uv_try_write(&s->uv.stream, &alert, 1); /* if it can be told why, good */
        log_tls_failure(s, reason);
        close_now(s);
}

/* The client is one of us, or turned away. */
static void admit(struct session *s)
{
        const char *refuse;

        s->set->len++;
        refuse = s->set->ops->admit(s->set->ctx, s);
        if (!refuse)
                return;
        s->refused = refuse;
        s->set->len--;
        s->set->refused++;
        reply_closing(&s->out, refuse);
        s->state = SESSION_LAST;
        mark_dirty(s);
}

/* The client has shown a certificate that is trusted: its name tells who it is. */
static void on_greeted(struct session *s)
{
        char name[TLS_NAME_BYTES];
        size_t len = strlen(s->peer);

        uv_timer_stop(&s->linger);
        tls_name(&s->tls, name);
        snprintf(s->peer + len, sizeof(s->peer) - len, ", certificate of %s", name);
        s->greeted = true;
        s->set->strangers--;
        admit(s);
}

/* Deciphers all that came. False: the connection is closed. */
static bool decipher(struct session *s, const char *data, size_t len)
{
        tls_put(&s->tls, data, len);
        for (;;) {
                uv_buf_t room = make_room(s);
                size_t plain = 0;
                enum tls_result result = tls_read(&s->tls, room.base, room.len, &plain);

                if (!s->greeted && tls_greeted(&s->tls))
                        on_greeted(s);
                s->block->len += plain;
                s->set->bytes += plain;
                if (result == TLS_BROKEN) {
                        on_tls_broken(s);
                        return false;
                }
                if (result == TLS_END && s->state == SESSION_OPEN)
                        s->state = SESSION_EOF;
                if (result != TLS_DATA)
                        break;
        }
        mark_dirty(s); /* there may be something to answer, to TLS itself */
        return true;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
        struct session *s = stream->data;

        s->read_us = clock_monotonic_us();
        if (nread < 0 && (nread != UV_EOF || s->has_tls)) { /* TLS says itself when it ends */
                close_now(s);
                return;
        }
        if (s->has_tls) {
                if (!decipher(s, buf->base, (size_t)nread))
                        return;
        } else if (nread == UV_EOF) {
                s->state = SESSION_EOF;
                mark_dirty(s);
        } else {
                s->block->len += (size_t)nread;
                s->set->bytes += (size_t)nread;
        }
        if (s->refused) {
                stop_reading(s);
                return;
        }
        s->unparsed = s->block && s->block->len > s->parsed;
        session_turn(s);
}

static void start_reading(struct session *s)
{
        if (s->reading)
                return;
        if (uv_read_start(&s->uv.stream, on_alloc, on_read) != 0) {
                close_now(s);
                return;
        }
        s->reading = true;
}

/* Takes lines, then reads on, or waits: for room (its next turn comes by itself), or until its replies are
 * read (then on_written gives it its turn). */
void session_turn(struct session *s)
{
        bool unread;
        bool room;

        take_lines(s);
        unread = replies_pending(s) >= REPLIES_HIGH;
        room = !s->unparsed && (is_stranger(s) || has_room(s)); /* a greeting needs none */
        if (!room && !unread && list_empty(&s->waiting))
                list_append(&s->set->waiting, &s->waiting);
        if (s->state == SESSION_OPEN && !s->set->draining && room && !unread)
                start_reading(s);
        else
                stop_reading(s);
        if (!s->unparsed)
                mark_dirty(s); /* it may have been the last line */
}

/* --- the beginning --- */

/* Takes over @fd, whether it succeeds or not. */
static int init_handles(struct session *s, int fd, bool tcp)
{
        uv_loop_t *loop = s->set->loop;
        int r = tcp ? uv_tcp_init(loop, &s->uv.tcp) : uv_pipe_init(loop, &s->uv.pipe, 0);

        if (r != 0) {
                close(fd);
                return r;
        }
        uv_timer_init(loop, &s->linger);
        s->uv.handle.data = s;
        s->linger.data = s;
        s->handles = 2;
        r = tcp ? uv_tcp_open(&s->uv.tcp, fd) : uv_pipe_open(&s->uv.pipe, fd);
        if (r != 0)
                close(fd);
        return r;
}

/* Who the client is, for operators. */
static void name_peer(struct session *s)
{
        struct sockaddr_storage address;
        char host[INET6_ADDRSTRLEN] = "?";
        int address_len = sizeof(address);
        struct ucred who;
        socklen_t who_len = sizeof(who);
        uv_os_fd_t fd;

        snprintf(s->peer, sizeof(s->peer), "?");
        if (s->uv.handle.type == UV_TCP) {
                if (uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&address, &address_len) != 0)
                        return;
                uv_ip_name((struct sockaddr *)&address, host, sizeof(host));
                /* the port stands at the same place for both families */
                snprintf(s->peer, sizeof(s->peer), "%s port %u", host,
                         ntohs(((struct sockaddr_in *)&address)->sin_port));
        } else if (uv_fileno(&s->uv.handle, &fd) == 0 &&
                   getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_len) == 0) {
                snprintf(s->peer, sizeof(s->peer), "uid %u, pid %d", who.uid, who.pid);
        }
}

/* The longest of them are no clients: a greeting is a matter of milliseconds. */
static void let_oldest_stranger_go(struct sessions *set)
{
        for (struct list *l = set->all.next; l != &set->all; l = l->next) {
                struct session *s = container_of(l, struct session, all);

                if (is_stranger(s) && s->state != SESSION_CLOSED) {
                        log_tls_failure(s, "others came before it showed its certificate");
                        close_now(s);
                        return;
                }
        }
}

static void expect_greeting(struct session *s)
{
        s->set->strangers++;
        if (s->set->strangers > STRANGERS_MAX)
                let_oldest_stranger_go(s->set);
        tls_init(&s->tls, s->set->tls);
        uv_timer_start(&s->linger, on_greeting_over, GREETING_MS, 0);
}

int session_accept_take(struct sessions *set, const struct session_socket *socket)
{
        struct session *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                close(socket->fd);
                return UV_ENOMEM;
        }
        s->set = set;
        r = init_handles(s, socket->fd, socket->tcp);
        if (s->handles == 0) {
                free(s);
                return r;
        }
        s->has_tls = socket->tcp && set->tls && set->tls->ctx;
        list_append(&set->all, &s->all);
        list_init(&s->waiting);
        list_init(&s->dirty);
        s->number = socket->number;
        s->denied = socket->denied;
        s->last_line = uv_now(set->loop);
        s->connected_us = clock_monotonic_us();
        if (r == 0 && socket->tcp)
                uv_tcp_nodelay(&s->uv.tcp, 1);
        name_peer(s);
        log_debug("connection %" PRIu64 " accepted from %s", s->number, s->peer);
        if (s->has_tls)
                expect_greeting(s);
        else
                admit(s);
        if (r != 0)
                close_now(s);
        else if (!s->refused)
                session_turn(s);
        return r;
}

/* A client that sent no whole line for so long, and owes nothing: it neither waits for us, nor do we wait for
 * it to read its replies. */
static bool is_idle(const struct session *s)
{
        return s->state == SESSION_OPEN && s->reading && everything_settled(s) && replies_pending(s) == 0 &&
               uv_now(s->set->loop) - s->last_line >= s->set->idle_ms;
}

void session_end_idle(struct session *s)
{
        if (!is_idle(s))
                return;
        s->idle = true;
        stop_reading(s);
        mark_dirty(s);
}

/* --- reports --- */

static uint64_t oldest_of(const struct session *s)
{
        uint64_t oldest = arrivals_oldest(&s->arrivals);

        return oldest > 0 || !s->unparsed ? oldest : s->read_us;
}

static enum pause_reason why_paused(const struct session *s)
{
        if (s->state != SESSION_OPEN && s->state != SESSION_EOF)
                return PAUSE_NONE;
        if (replies_pending(s) >= REPLIES_HIGH)
                return PAUSE_REPLIES_UNREAD;
        return list_empty(&s->waiting) ? PAUSE_NONE : s->set->ops->why_no_room(s->set->ctx, s);
}

void session_stats(const struct session *s, struct stats *r, bool list, unsigned worker)
{
        struct stats_connection c;

        if (s->state == SESSION_CLOSED || s->refused || is_stranger(s))
                return;
        c = (struct stats_connection){.number = s->number,
                                      .worker = worker,
                                      .lines = s->acks.begun,
                                      .in_flight = s->acks.begun - s->acks.settled,
                                      .oldest_us = oldest_of(s),
                                      .connected_us = s->connected_us,
                                      .last_line_us =
                                              r->taken_us - (uv_now(s->set->loop) - s->last_line) * 1000,
                                      .paused = why_paused(s)};

        r->oldest_us = stats_earlier(r->oldest_us, c.oldest_us);
        if (c.paused != PAUSE_NONE)
                r->paused[c.paused]++;
        if (!list)
                return;
        snprintf(c.peer, sizeof(c.peer), "%s", s->peer);
        memcpy(c.counts, s->acks.counts, sizeof(c.counts));
        stats_add_connection(r, &c);
}
