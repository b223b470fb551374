/* A session reads into blocks, splits lines in place and passes each to the sink. Replies collect in a
 * buffer that is sent once per loop turn (in the prepare handle, after all callbacks of the turn), with one
 * cumulative ack at its end.
 *
 * A session stops taking lines, and then reading, while the pipeline has no room or its client leaves too
 * many replies unread; this limits what a client can make the daemon hold. Received bytes stay in the block
 * until the session's turn.
 *
 * How a session ends: the client shuts down its sending side (EOF: settle all, last ack, close); the daemon
 * stops (settle what was received, last ack, "closing", shut down, linger, close); the connection breaks
 * (CLOSED immediately; lines in flight are still processed, and the session is freed when the last one is
 * settled). */
#include "server/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/session_parts.h"
#include "server/sessions.h"
#include "server/strangers.h"
#include "server/transport.h"

_Static_assert((int)SESSION_PEER_BYTES == (int)TRANSPORT_PEER_BYTES, "one name");

enum {
        REPLIES_HIGH = 64 * 1024, /* bytes of unread replies at which a session is paused */
        REPLIES_LOW = 4 * 1024,   /* the same, while replies and notes of all sessions fill their share */
        LINES_LOW = 4 * 1024,     /* unacked lines at which a session is paused in that case */
        NOTES_SHARE = 16,         /* part of the memory limit for replies and notes about lines, */
        LINES_SHARE = 128,        /* and part of this for one session's notes: one byte per line */
        REFUSED_MAX = 128,        /* with this many clients being turned away, none lingers */
};

size_t session_replies_pending(const struct session *s)
{
        return s->out.len + (s->io ? transport_unsent(s->io) : 0);
}

void session_mark_dirty(struct session *s)
{
        if (list_empty(&s->dirty))
                list_append(&s->set->dirty, &s->dirty);
}

/* --- memory --- */

/* Counts what the client makes us hold besides its lines: the session itself, its replies, and one byte per
 * unacked line. */
static void count_memory(struct session *s)
{
        size_t notes = s->out.cap + (s->io ? transport_bytes(s->io) : 0) + s->acks.cap;
        size_t bytes = sizeof(*s) + (s->io ? sizeof(*s->io) + tls_bytes(&s->io->tls) : 0) + notes;

        s->set->notes += notes - s->notes;
        s->notes = notes;
        memory_add(s->set->memory, bytes - s->counted);
        s->counted = bytes;
}

static bool is_crowded(const struct sessions *set)
{
        return set->notes >= set->memory->limit / NOTES_SHARE;
}

bool session_has_unread_replies(const struct session *s)
{
        return session_replies_pending(s) >= (is_crowded(s->set) ? REPLIES_LOW : REPLIES_HIGH);
}

bool session_may_begin_lines(const struct session *s)
{
        size_t most = is_crowded(s->set) ? 0 : s->set->memory->limit / LINES_SHARE;

        return acks_in_flight(&s->acks) < (most > LINES_LOW ? most : LINES_LOW);
}

/* --- closing --- */

static void log_close(struct session *s)
{
        const struct line_from from = {.peer = s->peer, .connection = s->number};
        const struct client_log_end end = {.lines = s->acks.begun,
                                           .counts = s->acks.counts,
                                           .in_flight = acks_in_flight(&s->acks),
                                           .turned_away = s->refused};

        client_log_close(&s->set->log, &from, &end);
}

/* Closes the connection; received lines are still processed. */
void session_close(struct session *s)
{
        if (s->state == SESSION_CLOSED)
                return;
        session_enter(s, SESSION_CLOSED);
        s->line_source.gone = true;
        buf_deinit(&s->out);
        session_move(s, PLACE_GONE);
        transport_close(s->io);
        session_leave(s);
        log_close(s);
        session_mark_dirty(s);
}

static void on_closed(void *ctx)
{
        struct session *s = ctx;

        transport_deinit(s->io);
        free(s->io);
        s->io = NULL;
        if (s->refused)
                received_drop(&s->received);
        session_turn(s); /* received lines may have waited until replies were read */
        session_mark_dirty(s);
}

static void log_reject(struct session *s, uint64_t line_no, const struct reject *reject)
{
        const struct line_from from = {.peer = s->peer, .connection = s->number, .line = line_no};

        client_log_reject(&s->set->log, &s->log, &from, reject);
}

static void free_session(struct session *s)
{
        struct sessions *set = s->set;

        list_remove(&s->all);
        list_remove(&s->waiting);
        list_remove(&s->dirty);
        received_drop(&s->received);
        session_count_left(s);
        buf_deinit(&s->out);
        set->notes -= s->notes;
        memory_sub(set->memory, s->counted);
        acks_deinit(&s->acks);
        rules_unref(s->client);
        free(s);
        set->ops->on_gone(set->ctx);
}

/* All replies are sent. */
static void end_sending(struct session *s)
{
        bool crowded = s->place == PLACE_REFUSED && s->set->places[PLACE_REFUSED] > REFUSED_MAX;

        if (s->client_ended || crowded) {
                session_close(s);
                return;
        }
        session_enter(s, SESSION_LINGERING);
        transport_linger(s->io);
}

static void on_lingered(void *ctx)
{
        session_close(ctx);
}

/* --- sending --- */

static void after_sending(struct session *s)
{
        if (s->state == SESSION_LAST && session_replies_pending(s) == 0)
                end_sending(s);
        else if (s->state == SESSION_OPEN || s->state == SESSION_EOF)
                session_turn(s);
}

static void on_sent(void *ctx)
{
        session_mark_dirty(ctx); /* acks may have advanced meanwhile */
        after_sending(ctx);
}

bool session_settled(const struct session *s)
{
        return !s->received.unparsed && s->in_flight == 0;
}

/* Call it before settled lines count as acked. */
static void note_ack(struct session *s)
{
        struct sessions *set = s->set;
        uint64_t longest = arrivals_ack(&s->arrivals, s->acked, s->acks.settled, clock_monotonic_us(),
                                        &set->ack_latency);

        if (set->ack_max_us < longest)
                set->ack_max_us = longest;
}

void session_say_ack(struct session *s)
{
        note_ack(s);
        reply_ack(&s->out, &s->acks, s->set->sink.with_spool);
        s->acked = s->acks.settled;
        s->ack_told = true;
        s->told = uv_now(s->set->loop);
}

/* Why the session ends although its client did not end it; NULL if it does not end. */
static const char *closing_word(const struct session *s)
{
        if (s->state == SESSION_EOF && acks_in_flight(&s->acks) > 0)
                return "shutdown"; /* lines were abandoned, or are not settled yet: not yet */
        if (s->state != SESSION_OPEN)
                return NULL;
        return s->set->draining ? "shutdown" : s->closing;
}

/* Appends the replies due at the end of a loop turn. */
static void say(struct session *s)
{
        const char *closing = closing_word(s);
        bool last = (s->state == SESSION_EOF || closing) && (session_settled(s) || s->set->ending);

        if (s->state == SESSION_LAST) /* already done */
                return;
        if (s->acks.settled > s->acked || (last && !s->ack_told))
                session_say_ack(s);
        if (last && closing)
                reply_closing(&s->out, closing);
        if (last) {
                session_enter(s, SESSION_LAST);
                list_remove(&s->waiting); /* takes no more lines */
                received_drop(&s->received);
        }
}

void session_flush(struct session *s)
{
        enum transport_sent sent;

        if (s->state == SESSION_CLOSED) {
                if (!s->io && session_settled(s))
                        free_session(s);
                else
                        count_memory(s);
                return;
        }
        if (transport_sending(s->io) || s->state == SESSION_LINGERING)
                return;
        say(s);
        count_memory(s);
        if (s->place == PLACE_STRANGER && s->state == SESSION_LAST) {
                session_close(s); /* without a handshake nothing can be sent */
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
        session_mark_dirty(s);
}

void session_abandon(struct session *s)
{
        assert(s->in_flight > 0);
        s->in_flight--;
        session_mark_dirty(s);
}

/* --- receiving --- */

static void on_line(struct session *s, enum frame_result result, struct slice line)
{
        uint64_t line_no;

        if (s->heard < HEARD_RECORD && session_first_line(s, result, line))
                return;
        line_no = acks_begin(&s->acks);
        s->set->lines++;
        s->last_line = uv_now(s->set->loop);
        s->in_flight++;
        if (result == FRAME_TOO_LONG) {
                s->set->sink.ops->on_too_long(s->set->sink.ctx, s, line_no);
        } else if (line.len == 0) {
                s->set->empty++;
                s->in_flight--;
                acks_settle(&s->acks, line_no, LINE_EMPTY);
                session_mark_dirty(s);
        } else {
                s->set->sink.ops->on_line(s->set->sink.ctx, s, line_no, line, s->received.block);
        }
}

static bool has_room(const struct session *s)
{
        const struct session_sink *sink = &s->set->sink;

        return sink->ops->why_paused(sink->ctx, s) == PAUSE_NONE && session_may_begin_lines(s);
}

bool session_may_go_on(const struct session *s)
{
        return has_room(s) && (s->received.unparsed || received_may_grow(&s->received));
}

/* Splits lines and passes them on as long as there is room. */
static void take_lines(struct session *s)
{
        uint64_t begun = s->acks.begun;

        if (session_first_bytes(s))
                return;
        while (s->received.unparsed && !session_has_unread_replies(s) && has_room(s)) {
                struct slice line;
                enum frame_result result = received_next(&s->received, s->client_ended, &line);

                if (result != FRAME_MORE)
                        on_line(s, result, line);
        }
        if (s->acks.begun > begun) {
                s->unfinished_since = s->last_line;
                arrivals_note(&s->arrivals, s->acked, s->acks.begun, s->read_us);
        }
        if (s->client_ended && s->in_flight > 0 && !s->received.unparsed)
                s->set->sink.ops->on_ended(s->set->sink.ctx, s);
        received_tidy(&s->received);
        count_memory(s);
}

static uv_buf_t alloc(void *ctx)
{
        struct session *s = ctx;
        size_t len;
        char *room = received_room(&s->received, &len);

        return uv_buf_init(room, (unsigned)len);
}

/* Does not ask again whether there is room: others may have used it since the last turn. */
static bool may_read(void *ctx)
{
        struct session *s = ctx;

        return s->place != PLACE_CLIENT || (has_room(s) && received_may_grow(&s->received));
}

static bool may_keep(void *ctx)
{
        struct session *s = ctx;

        return !memory_full(s->set->memory) && !received_full(&s->received);
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
        session_close(ctx);
}

/* Accepts the client or turns it away. */
static void admit(struct session *s)
{
        const char *refuse;

        session_move(s, PLACE_CLIENT);
        refuse = s->set->ops->admit(s->set->ctx, s);
        if (!refuse)
                return;
        s->refused = refuse;
        session_move(s, PLACE_REFUSED);
        reply_closing(&s->out, refuse);
        session_enter(s, SESSION_LAST);
        session_mark_dirty(s);
}

void session_peer(const struct session *s, struct peer *ret)
{
        transport_identify(s->io, ret);
}

/* The client has shown its certificate. */
static void on_greeted(void *ctx)
{
        struct session *s = ctx;

        transport_peer(s->io, s->peer);
        admit(s);
}

static void answer_plain(void *ctx, struct buf *out)
{
        (void)ctx;
        reply_closing(out, "tls_required");
}

static void on_bytes(void *ctx, size_t len)
{
        struct session *s = ctx;

        s->read_us = clock_monotonic_us();
        if (s->heard == HEARD_NOTHING)
                s->heard = HEARD_BYTES;
        if (s->received.held == 0)
                s->unfinished_since = uv_now(s->set->loop);
        received_add(&s->received, len);
        s->set->bytes += len;
}

static void on_read(void *ctx, bool ended)
{
        struct session *s = ctx;

        s->client_ended |= ended;
        if (ended && s->state == SESSION_OPEN)
                session_enter(s, SESSION_EOF);
        session_mark_dirty(s); /* TLS itself may have to answer */
        if (s->place == PLACE_REFUSED) {
                transport_stop_reading(s->io);
                return;
        }
        if (ended && s->received.block)
                s->received.unparsed = true; /* the last line needs no line end */
        session_turn(s);
}

/* Takes lines, then continues reading, or waits: for room (turns come by themselves), or until replies are
 * read (then on_written gives the session a turn). */
void session_turn(struct session *s)
{
        bool unread;
        bool room;

        if (s->state == SESSION_LAST || s->state == SESSION_LINGERING)
                return;
        take_lines(s);
        if (s->state == SESSION_LAST) /* the client was turned away */
                return;
        unread = session_has_unread_replies(s);
        room = !s->received.unparsed &&
               (s->place == PLACE_STRANGER || has_room(s)) && /* a handshake needs no room */
               received_may_grow(&s->received);
        if (!room && !unread && list_empty(&s->waiting) &&
            (s->state != SESSION_CLOSED || s->received.unparsed))
                list_append(&s->set->waiting, &s->waiting);
        if (s->state == SESSION_OPEN && !s->set->draining && !s->closing && room && !unread)
                transport_start_reading(s->io);
        else if (s->io)
                transport_stop_reading(s->io);
        session_count_left(s);
        if (!s->received.unparsed)
                session_mark_dirty(s); /* this may have been the last line */
}

/* --- the beginning --- */

static void turn_stranger_away(struct session *s)
{
        log_tls_failure(s, "too many clients have shown no certificate yet: this one is dropped");
        session_close(s);
}

static struct session *new_session(struct sessions *set, const struct session_socket *socket)
{
        struct session *s = calloc(1, sizeof(*s));

        if (!s || !(s->io = calloc(1, sizeof(*s->io)))) {
                free(s);
                return NULL;
        }
        s->set = set;
        s->line_source = (struct line_source){.ops = &session_source_ops, .tally = set->sink.tally};
        list_init(&s->all);
        list_init(&s->waiting);
        list_init(&s->dirty);
        list_init(&s->stranger);
        s->number = socket->number;
        s->peer_kind = socket->peer_kind;
        s->last_line = uv_now(set->loop);
        s->told = s->moved = s->last_line;
        s->connected_us = clock_monotonic_us();
        s->received.shared = &set->receiving;
        return s;
}

static void begin(struct session *s)
{
        log_debug("connection %" PRIu64 " accepted from %s", s->number, s->peer);
        if (s->io->state == TRANSPORT_OPEN)
                admit(s);
        else if (s->set->places[PLACE_STRANGER] > SESSIONS_STRANGERS_MAX)
                turn_stranger_away(strangers_pick(s->set));
        if (s->place == PLACE_CLIENT || s->place == PLACE_STRANGER)
                session_turn(s);
}

int session_accept_take(struct sessions *set, const struct session_socket *socket)
{
        static const struct transport_ops ops = {.on_greeted = on_greeted,
                                                 .answer_plain = answer_plain,
                                                 .may_read = may_read,
                                                 .may_keep = may_keep,
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
        count_memory(s);
        set->places[s->place]++;
        list_append(&set->strangers, &s->stranger);
        transport_peer(s->io, s->peer);
        s->source = transport_source(s->io);
        if (r == 0)
                begin(s);
        else
                session_close(s);
        return r;
}
