#include "server/sessions.h"

#include <assert.h>
#include <string.h>

#include <poll.h>

enum { HANGUPS_AT_ONCE = 256, HANGUPS_MS = 500 };

/* For any session at all. */
static bool has_room(const struct sessions *set)
{
        return set->sink.ops->why_paused(set->sink.ctx, NULL) == PAUSE_NONE;
}

/* Gives waiting sessions their turns while there is room. A session without a turn, or without room of its
 * own, comes first the next time. */
static void give_turns(struct sessions *set)
{
        struct list now;
        struct list still;

        list_init(&now);
        list_init(&still);
        list_splice(&now, &set->waiting);
        while (!list_empty(&now) && has_room(set)) {
                struct session *s = container_of(now.next, struct session, waiting);

                list_remove(&s->waiting);
                if (session_may_go_on(s))
                        session_turn(s);
                else
                        list_append(&still, &s->waiting);
        }
        list_splice(&still, &now);
        list_splice(&still, &set->waiting);
        list_splice(&set->waiting, &still);
}

static void on_prepare(uv_prepare_t *prepare)
{
        struct sessions *set = prepare->data;

        if (!list_empty(&set->waiting))
                give_turns(set);
        /* Sending may let a session take more lines and reply more; since nothing is read here, the loop
         * ends. */
        while (!list_empty(&set->dirty)) {
                struct session *s = container_of(set->dirty.next, struct session, dirty);

                list_remove(&s->dirty);
                session_flush(s);
        }
}

static void on_idle_timer(uv_timer_t *timer)
{
        struct sessions *set = timer->data;

        for (struct list *l = set->all.next; l != &set->all; l = l->next)
                session_end_idle(container_of(l, struct session, all));
}

/* Ends sessions with long unfinished lines when others wait for their memory. */
static void end_unfinished(struct sessions *set)
{
        bool wanted = false;

        for (struct list *l = set->waiting.next; l != &set->waiting && !wanted; l = l->next)
                wanted = session_waits_for_memory(container_of(l, struct session, waiting));
        wanted &= has_room(set); /* otherwise ending one would not help */
        for (struct list *l = set->all.next; l != &set->all; l = l->next)
                session_end_unfinished(container_of(l, struct session, all), wanted);
}

/* --- clients that are gone --- */

static void look_for_hangups(struct session **sessions, struct pollfd *fds, nfds_t len)
{
        if (poll(fds, len, 0) < 0)
                return;
        for (nfds_t i = 0; i < len; i++) {
                if (fds[i].revents & (POLLHUP | POLLERR))
                        session_on_gone(sessions[i]);
                else
                        session_probe(sessions[i]);
        }
}

/* The loop does not watch sockets that are not read from; checking them periodically is enough, and free
 * while no client is paused. */
static void on_hangup_timer(uv_timer_t *timer)
{
        struct sessions *set = timer->data;
        struct session *sessions[HANGUPS_AT_ONCE];
        struct pollfd fds[HANGUPS_AT_ONCE];
        nfds_t len = 0;

        for (struct list *l = set->all.next; l != &set->all; l = l->next) {
                struct session *s = container_of(l, struct session, all);
                int fd = session_unwatched(s);

                if (fd < 0)
                        continue;
                sessions[len] = s;
                fds[len++] = (struct pollfd){.fd = fd, .events = 0};
                if (len < HANGUPS_AT_ONCE)
                        continue;
                look_for_hangups(sessions, fds, len); /* this does not free a session */
                len = 0;
        }
        if (len > 0)
                look_for_hangups(sessions, fds, len);
        end_unfinished(set);
}

void sessions_set_idle(struct sessions *set, unsigned idle_ms)
{
        uint64_t look = idle_ms / 4 + 1;

        set->idle_ms = idle_ms;
        uv_timer_stop(&set->idle);
        if (idle_ms > 0)
                uv_timer_start(&set->idle, on_idle_timer, look, look);
}

void sessions_admit_again(struct sessions *set)
{
        for (struct list *l = set->all.next; l != &set->all; l = l->next)
                session_admit_again(container_of(l, struct session, all));
}

void sessions_init(struct sessions *set, uv_loop_t *loop, const struct session_ops *ops, void *ctx,
                   const struct session_sink *sink, const struct session_limits *limits)
{
        *set = (struct sessions){.loop = loop,
                                 .ops = ops,
                                 .ctx = ctx,
                                 .sink = *sink,
                                 .memory = sink->memory,
                                 .receiving = {.memory = sink->memory, .max_line = limits->max_line},
                                 .tls = limits->tls};
        client_log_init(&set->log, loop);
        uv_timer_init(loop, &set->idle);
        set->idle.data = set;
        sessions_set_idle(set, limits->idle_ms);
        uv_timer_init(loop, &set->hangups);
        set->hangups.data = set;
        uv_timer_start(&set->hangups, on_hangup_timer, HANGUPS_MS, HANGUPS_MS);
        list_init(&set->all);
        list_init(&set->waiting);
        list_init(&set->dirty);
        list_init(&set->strangers);
        uv_prepare_init(loop, &set->prepare);
        set->prepare.data = set;
        uv_prepare_start(&set->prepare, on_prepare);
}

void sessions_stats(struct sessions *set, struct stats *r, enum stats_detail detail, unsigned worker)
{
        r->lines = set->lines;
        r->bytes = set->bytes;
        r->counts[LINE_EMPTY] = set->empty;
        r->open = sessions_clients(set);
        r->ack_latency = set->ack_latency;
        r->ack_max_us = set->ack_max_us;
        if (detail >= STATS_STEP)
                set->ack_max_us = 0;
        memcpy(r->refused, set->refusals, sizeof(r->refused));
        for (struct list *l = set->all.next; l != &set->all; l = l->next)
                session_stats(container_of(l, struct session, all), r, detail, worker);
}

void sessions_drain(struct sessions *set)
{
        set->draining = true;
        for (struct list *l = set->all.next; l != &set->all; l = l->next) {
                struct session *s = container_of(l, struct session, all);

                if (s->state == SESSION_OPEN)
                        session_turn(s);
        }
}

void sessions_end_at_once(struct sessions *set)
{
        set->draining = true;
        set->ending = true;
        for (struct list *l = set->all.next, *next; l != &set->all; l = next) {
                next = l->next;
                session_flush(container_of(l, struct session, all));
        }
        client_log_flush(&set->log);
}

void sessions_deinit(struct sessions *set)
{
        assert(list_empty(&set->all));
        uv_close((uv_handle_t *)&set->prepare, NULL);
        uv_close((uv_handle_t *)&set->idle, NULL);
        client_log_deinit(&set->log);
        uv_close((uv_handle_t *)&set->hangups, NULL);
}
