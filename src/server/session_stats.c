#include "server/session.h"

#include <stdio.h>
#include <string.h>

#include "base/visible.h"
#include "server/session_parts.h"
#include "server/sessions.h"

static uint64_t oldest_of(const struct session *s)
{
        uint64_t oldest = arrivals_oldest(&s->arrivals);

        return oldest > 0 || !s->received.unparsed ? oldest : s->read_us;
}

static enum pause_reason why_paused(const struct session *s)
{
        if (s->state != SESSION_OPEN && s->state != SESSION_EOF)
                return PAUSE_NONE;
        if (session_has_unread_replies(s))
                return PAUSE_REPLIES_UNREAD;
        if (list_empty(&s->waiting))
                return PAUSE_NONE;
        if (!session_may_begin_lines(s) || !received_may_grow(&s->received))
                return PAUSE_MEMORY;
        return s->set->sink.ops->why_paused(s->set->sink.ctx, s);
}

void session_set_hello(struct session *s, const struct hello *hello)
{
        char peer[sizeof(s->peer) + sizeof(hello->client) + 8];

        visible_copy(hello->client, s->hello.client, sizeof(s->hello.client));
        visible_copy(hello->version, s->hello.version, sizeof(s->hello.version));
        snprintf(peer, sizeof(peer), "%s (%s)", s->hello.client, s->peer);
        visible_copy(peer, s->peer, sizeof(s->peer));
}

void session_stats(const struct session *s, struct stats *r, enum stats_detail detail, unsigned worker)
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
        if (detail >= STATS_STEP && s->hello.client[0])
                stats_add_client(r, s->hello.client, 1);
        if (detail < STATS_LISTS)
                return;
        snprintf(c.client, sizeof(c.client), "%s", s->hello.client);
        snprintf(c.version, sizeof(c.version), "%s", s->hello.version);
        snprintf(c.peer, sizeof(c.peer), "%s", s->peer);
        snprintf(c.section, sizeof(c.section), "%s", s->client ? s->client->name : "");
        memcpy(c.counts, s->acks.counts, sizeof(c.counts));
        stats_add_connection(r, &c);
}
