/* Sessions that end, or may be at their end, though no event of their socket says so: idle ones, those whose
 * client reads no replies, those that keep room from others, and those whose client is gone. */
#include "server/session.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/session_parts.h"
#include "server/sessions.h"
#include "server/transport.h"

enum {
        UNFINISHED_MS = 10000, /* for so long a long line may keep others from theirs, */
        SILENT_MS = 1000,      /* and for so long without a byte */
        REPEAT_MS = 5000,      /* between two acks that say the same */
};

/* A client that sent no whole line for so long, and owes nothing: it neither waits for us, nor do we wait for
 * it to read its replies. */
static bool is_idle(const struct session *s)
{
        bool open = s->state == SESSION_OPEN && !session_waits_for_memory(s);
        bool reading = s->io->reading || !received_may_grow(&s->received);

        return open && reading && session_settled(s) && session_replies_pending(s) == 0 &&
               uv_now(s->set->loop) - s->last_line >= s->set->idle_ms;
}

/* Nothing of what it was sent was read for so long. */
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
        if (!s->io->reading && transport_has_unread(s->io)) { /* it waits for us */
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

/* On TCP a client that is gone looks like one that has shut down its sending side, or that waits for us to read:
 * until it is sent something. An ack once more does no harm. */
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
