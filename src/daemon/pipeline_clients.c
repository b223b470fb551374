/* Access rules in the pipeline: the present rules, clients that send on behalf of others, and the limits of a section. */
#include "daemon/pipeline.h"

enum { PACE_MS = 10 }; /* between looks whether a client may send more */

struct rules *pipeline_client_for(const struct pipeline *p, const char *owner, struct rules *sender)
{
        struct rules *found = clients_rules_of(&p->clients, owner);
        struct rules *both;

        if (!sender)
                return found;
        both = rules_new_for(found, sender);
        rules_unref(found);
        return both;
}

void pipeline_on_hello(struct pipeline *p, struct session *s, const struct hello *hello)
{
        struct rules *before = s->client;

        session_set_hello(s, hello);
        if (!hello->on_behalf_of[0] || p->clients.len == 0 || (!before && s->peer_kind != PEER_OURSELVES))
                return;
        s->client = pipeline_client_for(p, hello->on_behalf_of, before);
        if (!before)
                rules_connect_again(s->client);
        rules_unref(before);
}

void pipeline_set_clients_take(struct pipeline *p, struct clients *clients)
{
        clients_deinit(&p->clients);
        p->clients = *clients;
        resolver_clients_changed(&p->resolver, p->clients.items, p->clients.len);
        overflow_judge_again(&p->overflow);
}

/* Sessions get their turns when the loop wakes. */
static void on_pace(uv_timer_t *timer)
{
        (void)timer;
}

bool pipeline_within_limits(struct pipeline *p, const struct session *s)
{
        if (!s->client || p->ending || rules_may_send(s->client, p->memory.limit))
                return true;
        if (!uv_is_active((uv_handle_t *)&p->pace))
                uv_timer_start(&p->pace, on_pace, PACE_MS, 0);
        return false;
}
