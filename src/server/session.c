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
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/sessions.h"
#include "server/transport.h"

_Static_assert((int)SESSION_PEER_BYTES == (int)TRANSPORT_PEER_BYTES, "one name");

enum {
        REPLIES_HIGH = 64 * 1024, /* bytes of unread replies at which a session stops taking lines */
        READ_ROOM_MIN = 8 * 1024, /* a block with less room than this is not read into */
        REFUSED_MAX = 128,        /* with so many clients being turned away, none gets to linger */
        STRANGERS_MAX = 64,       /* with so many that have not shown a certificate, the oldest has to go */
};

static size_t replies_pending(const struct session *s)
{
        return s->out.len + (s->io ? transport_unsent(s->io) : 0);
}

static void mark_dirty(struct session *s)
{
        if (list_empty(&s->dirty))
                list_append(&s->set->dirty, &s->dirty);
}

static void move_to(struct session *s, enum session_place place)
{
        s->set->places[s->place]--;
        s->place = place;
        s->set->places[place]++;
}

/* --- closing --- */

/* The connection ends here; lines in flight go on. */
static void close_now(struct session *s)
{
        if (s->state == SESSION_CLOSED)
                return;
        s->state = SESSION_CLOSED;
        list_remove(&s->waiting);
        block_unref(s->block);
        s->block = NULL;
        move_to(s, PLACE_GONE);
        transport_close(s->io);
        log_event(
                LOG_LEVEL_INFO,
                LOG_FIELDS(.message_id = LOG_ID_CONNECTION_CLOSED, .connection = s->number, .peer = s->peer),
                "connection %" PRIu64 " of %s closed: %" PRIu64 " lines, %" PRIu64 " stored, %" PRIu64
                " duplicate, %" PRIu64 " rejected, %" PRIu64 " spooled, %" PRIu64 " empty, %" PRIu64
                " in flight",
                s->number, s->peer, s->acks.begun, s->acks.counts[LINE_STORED],
                s->acks.counts[LINE_DUPLICATE], s->acks.counts[LINE_REJECTED], s->acks.counts[LINE_SPOOLED],
                s->acks.counts[LINE_EMPTY], acks_in_flight(&s->acks));
}

static void on_closed(void *ctx)
{
        struct session *s = ctx;

        transport_deinit(s->io);
        free(s->io);
        s->io = NULL;
        mark_dirty(s);
}

/* --- refused lines in the log --- */

static void tell_rejects(struct session *s)
{
        const struct line_from from = {.peer = s->peer, .connection = s->number};

        reject_log_tell(&s->rejects, uv_now(s->set->loop), &from);
}

static void on_tell_rejects(uv_timer_t *timer)
{
        struct sessions *set = timer->data;

        for (struct list *l = set->all.next; l != &set->all; l = l->next)
                tell_rejects(container_of(l, struct session, all));
}

static void log_reject(struct session *s, uint64_t line_no, const struct reject *reject)
{
        const struct line_from from = {s->peer, s->number, line_no};

        if (reject_log_add(&s->rejects, uv_now(s->set->loop), &from, reject) &&
            !uv_is_active((uv_handle_t *)&s->set->tell_rejects))
                uv_timer_start(&s->set->tell_rejects, on_tell_rejects, REJECT_LOG_PAUSE_MS, 0);
}

static void free_session(struct session *s)
{
        struct sessions *set = s->set;

        tell_rejects(s);
        list_remove(&s->all);
        list_remove(&s->dirty);
        buf_deinit(&s->out);
        acks_deinit(&s->acks);
        free(s);
        set->ops->on_gone(set->ctx);
}

/* Everything was sent. */
static void end_sending(struct session *s)
{
        bool crowded = s->place == PLACE_REFUSED && s->set->places[PLACE_REFUSED] > REFUSED_MAX;

        if (s->client_ended || crowded) {
                close_now(s);
                return;
        }
        s->state = SESSION_LINGERING;
        transport_linger(s->io);
}

static void on_lingered(void *ctx)
{
        close_now(ctx);
}

/* --- sending --- */

static void after_sending(struct session *s)
{
        if (s->state == SESSION_LAST && replies_pending(s) == 0)
                end_sending(s);
        else if (s->state == SESSION_OPEN || s->state == SESSION_EOF)
                session_turn(s);
}

static void on_sent(void *ctx)
{
        mark_dirty(ctx); /* acks may have moved meanwhile */
        after_sending(ctx);
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
        return s->set->draining ? "shutdown" : s->closing;
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
                s->state = SESSION_LAST;
                list_remove(&s->waiting); /* it takes no more lines */
        }
}

void session_flush(struct session *s)
{
        enum transport_sent sent;

        if (s->state == SESSION_CLOSED) {
                if (!s->io && s->in_flight == 0)
                        free_session(s);
                return;
        }
        if (transport_sending(s->io) || s->state == SESSION_LINGERING)
                return;
        say(s);
        if (s->place == PLACE_STRANGER && s->state == SESSION_LAST) {
                close_now(s); /* without the greeting nothing can be told */
                return;
        }
        sent = transport_send(s->io, &s->out, s->state == SESSION_LAST);
        if (sent == TRANSPORT_SENT)
                after_sending(s);
        else if (sent == TRANSPORT_NOTHING && s->state == SESSION_LAST)
                end_sending(s);
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

static uv_buf_t alloc(void *ctx)
{
        return make_room(ctx);
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

static void on_broken(void *ctx, const char *tls_reason)
{
        if (tls_reason)
                log_tls_failure(ctx, tls_reason);
        close_now(ctx);
}

/* The client is one of us, or turned away. */
static void admit(struct session *s)
{
        const char *refuse;

        move_to(s, PLACE_CLIENT);
        refuse = s->set->ops->admit(s->set->ctx, s);
        if (!refuse)
                return;
        move_to(s, PLACE_REFUSED);
        reply_closing(&s->out, refuse);
        s->state = SESSION_LAST;
        mark_dirty(s);
}

/* The client's certificate tells who it is. */
static void on_greeted(void *ctx)
{
        struct session *s = ctx;

        transport_peer(s->io, s->peer);
        admit(s);
}

static void on_bytes(void *ctx, size_t len)
{
        struct session *s = ctx;

        s->read_us = clock_monotonic_us();
        if (!s->block)
                return;
        s->block->len += len;
        s->set->bytes += len;
}

static void on_read(void *ctx, bool ended)
{
        struct session *s = ctx;

        s->client_ended |= ended;
        if (ended && s->state == SESSION_OPEN)
                s->state = SESSION_EOF;
        mark_dirty(s); /* there may be something to answer, to TLS itself */
        if (s->place == PLACE_REFUSED) {
                transport_stop_reading(s->io);
                return;
        }
        s->unparsed = s->block && s->block->len > s->parsed;
        session_turn(s);
}

/* Takes lines, then reads on, or waits: for room (its next turn comes by itself), or until its replies are
 * read (then on_written gives it its turn). */
void session_turn(struct session *s)
{
        bool unread;
        bool room;

        take_lines(s);
        unread = replies_pending(s) >= REPLIES_HIGH;
        room = !s->unparsed && (s->place == PLACE_STRANGER || has_room(s)); /* a greeting needs none */
        if (!room && !unread && list_empty(&s->waiting))
                list_append(&s->set->waiting, &s->waiting);
        if (s->state == SESSION_OPEN && !s->set->draining && room && !unread)
                transport_start_reading(s->io);
        else
                transport_stop_reading(s->io);
        if (!s->unparsed)
                mark_dirty(s); /* it may have been the last line */
}

/* --- the beginning --- */

/* The longest of them are no clients: a greeting is a matter of milliseconds. */
static void let_oldest_stranger_go(struct sessions *set)
{
        for (struct list *l = set->all.next; l != &set->all; l = l->next) {
                struct session *s = container_of(l, struct session, all);

                if (s->place == PLACE_STRANGER) {
                        log_tls_failure(s, "others came before it showed its certificate");
                        close_now(s);
                        return;
                }
        }
}

static struct session *new_session(struct sessions *set, const struct session_socket *socket)
{
        struct session *s = calloc(1, sizeof(*s));

        if (!s || !(s->io = calloc(1, sizeof(*s->io)))) {
                free(s);
                return NULL;
        }
        s->set = set;
        list_init(&s->all);
        list_init(&s->waiting);
        list_init(&s->dirty);
        s->number = socket->number;
        s->denied = socket->denied;
        s->last_line = uv_now(set->loop);
        s->connected_us = clock_monotonic_us();
        return s;
}

static void begin(struct session *s)
{
        log_debug("connection %" PRIu64 " accepted from %s", s->number, s->peer);
        if (s->io->state == TRANSPORT_OPEN)
                admit(s);
        else if (s->set->places[PLACE_STRANGER] > STRANGERS_MAX)
                let_oldest_stranger_go(s->set);
        if (s->place != PLACE_REFUSED)
                session_turn(s);
}

int session_accept_take(struct sessions *set, const struct session_socket *socket)
{
        static const struct transport_ops ops = {.on_greeted = on_greeted,
                                                 .alloc = alloc,
                                                 .on_bytes = on_bytes,
                                                 .on_read = on_read,
                                                 .on_sent = on_sent,
                                                 .on_broken = on_broken,
                                                 .on_lingered = on_lingered,
                                                 .on_closed = on_closed};
        const struct tls_server *tls = socket->tcp && set->tls && set->tls->ctx ? set->tls : NULL;
        struct session *s = new_session(set, socket);
        int r;

        if (!s) {
                close(socket->fd);
                return UV_ENOMEM;
        }
        r = transport_open_take(s->io, set->loop, socket->fd, socket->tcp, tls, &ops, s);
        if (!transport_alive(s->io)) {
                free(s->io);
                free(s);
                return r;
        }
        list_append(&set->all, &s->all);
        set->places[s->place]++;
        transport_peer(s->io, s->peer);
        if (r == 0)
                begin(s);
        else
                close_now(s);
        return r;
}

/* A client that sent no whole line for so long, and owes nothing: it neither waits for us, nor do we wait for
 * it to read its replies. */
static bool is_idle(const struct session *s)
{
        return s->state == SESSION_OPEN && s->io->reading && everything_settled(s) &&
               replies_pending(s) == 0 && uv_now(s->set->loop) - s->last_line >= s->set->idle_ms;
}

void session_end_idle(struct session *s)
{
        if (!is_idle(s))
                return;
        s->closing = "idle";
        transport_stop_reading(s->io);
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

        if (s->place != PLACE_CLIENT)
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
