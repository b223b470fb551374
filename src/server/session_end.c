/* Sessions that end, or should, without an event on their socket: idle ones, ones whose client reads no
 * replies, ones that keep memory from others, and ones whose client is gone. */
#include "server/session.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/session_parts.h"
#include "server/sessions.h"
#include "server/transport.h"

enum {
        UNFINISHED_MS = 10000, /* how long an unfinished long line may keep memory from others, */
        SILENT_MS = 1000,      /* and how long it may do so without a byte received */
        REPEAT_MS = 5000,      /* between two equal acks */
        LEFT_SHARE = 4,        /* part of the memory limit for lines of clients that are gone */
};

/* True if the client has sent no whole line for idle_ms, has no unacked lines, and has read its replies. */
static bool is_idle(const struct session *s)
{
        bool open = s->state == SESSION_OPEN && !session_waits_for_memory(s);
        bool reading = s->io->reading || !received_may_grow(&s->received);

        return open && reading && session_settled(s) && session_replies_pending(s) == 0 &&
               uv_now(s->set->loop) - s->last_line >= s->set->idle_ms;
}

/* True if the client has read nothing of its replies for idle_ms. */
static bool is_deaf(struct session *s)
{
        uint64_t progress = transport_progress(s->io);

        if (!transport_sending(s->io) || progress != s->progress)
                s->moved = uv_now(s->set->loop);
        s->progress = progress;
        return uv_now(s->set->loop) - s->moved >= s->set->idle_ms;
}

static void end_with(struct session *s, const char *word)
{
        s->closing = word;
        transport_stop_reading(s->io);
        session_mark_dirty(s);
}

void session_end_idle(struct session *s)
{
        if (!s->io || s->state == SESSION_CLOSED)
                return;
        if (is_deaf(s)) {
                log_warn("connection %" PRIu64 " of %s has read no replies for %u ms", s->number, s->peer,
                         s->set->idle_ms);
                session_close(s);
        } else if (is_idle(s)) {
                end_with(s, "idle");
        }
}

void session_admit_again(struct session *s)
{
        const char *word;

        if (s->place != PLACE_CLIENT)
                return;
        word = s->set->ops->admit_again(s->set->ctx, s);
        if (!word && s->io && transport_is_revoked(s->io))
                word = "not_allowed";
        if (word && s->state == SESSION_OPEN)
                end_with(s, word);
}

bool session_waits_for_memory(const struct session *s)
{
        return s->state == SESSION_OPEN && !s->closing && !received_may_grow(&s->received) &&
               transport_has_unread(s->io);
}

void session_end_unfinished(struct session *s, bool wanted)
{
        uint64_t now = uv_now(s->set->loop);
        uint64_t silent = clock_monotonic_us() - s->read_us;

        if (s->state != SESSION_OPEN || !received_hoards(&s->received))
                return;
        if (!s->io->reading && transport_has_unread(s->io)) { /* the client waits for us */
                s->unfinished_since = now;
                s->read_us = clock_monotonic_us();
                return;
        }
        if (!wanted)
                return;
        if (now - s->unfinished_since < UNFINISHED_MS && silent < SILENT_MS * UINT64_C(1000))
                return;
        received_drop(&s->received);
        end_with(s, "unfinished_line");
}

int session_unwatched(const struct session *s)
{
        bool open = s->state == SESSION_OPEN || s->state == SESSION_EOF;

        return open && s->place == PLACE_CLIENT && !s->io->reading ? transport_fd(s->io) : -1;
}

/* On TCP a client that is gone looks like one that has shut down its sending side, or waits for us to read,
 * until something is sent to it. Repeating an ack is harmless. */
void session_probe(struct session *s)
{
        if (!s->io->tcp || transport_sending(s->io) || uv_now(s->set->loop) - s->told < REPEAT_MS)
                return;
        session_say_ack(s);
        session_mark_dirty(s);
}

void session_on_gone(struct session *s)
{
        transport_read_rest(s->io);
        if (s->state == SESSION_CLOSED)
                return;
        session_close(s);
        session_turn(s);
}

void session_count_left(struct session *s)
{
        bool left = s->state == SESSION_CLOSED && s->received.unparsed;
        size_t bytes = left ? sizeof(*s) + sizeof(*s->received.block) + s->received.block->cap : 0;

        s->set->left += bytes - s->left;
        s->left = bytes;
}

void session_leave(struct session *s)
{
        uint64_t drops;

        session_count_left(s);
        if (s->left == 0 || s->set->left <= s->set->memory->limit / LEFT_SHARE)
                return;
        received_drop(&s->received);
        session_count_left(s);
        drops = log_limit_pass(&s->set->drops, uv_now(s->set->loop));
        if (drops > 0)
                log_warn(
                        "connection %" PRIu64
                        " of %s: unread lines dropped: the client has disconnected, and such lines fill their "
                        "share of limits.memory_bytes (%" PRIu64 " since the last such line)",
                        s->number, s->peer, drops);
}
