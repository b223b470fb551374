#include "server/sessions.h"

#include <assert.h>
#include <string.h>

/* Gives those that wait their turn while there is room; who got none, or has no room of its own, is first the
 * next time. */
static void give_turns(struct sessions *set)
{
        struct list now;
        struct list still;

        list_init(&now);
        list_init(&still);
        list_splice(&now, &set->waiting);
        while (!list_empty(&now) && set->ops->has_room(set->ctx)) {
                struct session *s = container_of(now.next, struct session, waiting);

                list_remove(&s->waiting);
                if (set->ops->has_room_for(set->ctx, s))
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
        /* Sending may let a session take more lines, and say more; since nothing is read here, that ends. */
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

void sessions_set_idle(struct sessions *set, unsigned idle_ms)
{
        uint64_t look = idle_ms / 4 + 1;

        set->idle_ms = idle_ms;
        uv_timer_stop(&set->idle);
        if (idle_ms > 0)
                uv_timer_start(&set->idle, on_idle_timer, look, look);
}

void sessions_init(struct sessions *set, uv_loop_t *loop, const struct session_ops *ops, void *ctx,
                   struct memory *memory, const struct session_limits *limits)
{
        *set = (struct sessions){.loop = loop,
                                 .ops = ops,
                                 .ctx = ctx,
                                 .memory = memory,
                                 .max_line = limits->max_line,
                                 .with_spool = limits->with_spool,
                                 .tls = limits->tls};
        uv_timer_init(loop, &set->tell_rejects);
        set->tell_rejects.data = set;
        uv_timer_init(loop, &set->idle);
        set->idle.data = set;
        sessions_set_idle(set, limits->idle_ms);
        list_init(&set->all);
        list_init(&set->waiting);
        list_init(&set->dirty);
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
                session_stats(container_of(l, struct session, all), r, detail == STATS_LISTS, worker);
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
}

void sessions_deinit(struct sessions *set)
{
        assert(list_empty(&set->all));
        uv_close((uv_handle_t *)&set->prepare, NULL);
        uv_close((uv_handle_t *)&set->idle, NULL);
        uv_close((uv_handle_t *)&set->tell_rejects, NULL);
}
