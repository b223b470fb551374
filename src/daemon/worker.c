/* Before worker_start everything belongs to the main thread, then to the worker's thread, until worker_join.
 *
 * Stopping: sessions settle what they have received, send the last replies and close. After the last one
 * nothing of theirs is in flight, and everything else is closed. The loop, and with it the thread, ends with
 * the last handle. */
#include "daemon/worker.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "server/clients.h"
#include "server/peers.h"

/* --- sessions --- */

static void on_finish(uv_timer_t *timer);

static void drain_step(struct worker *w)
{
        if (w->draining && !w->finished && sessions_empty(&w->sessions))
                uv_timer_start(&w->finish, on_finish, 0, 0);
}

static void on_gone(void *ctx)
{
        drain_step(ctx);
}

static void log_refusal(struct worker *w, const struct session *s, const char *why)
{
        uint64_t refusals = log_limit_pass(&w->refusals, uv_now(&w->loop));

        if (refusals > 0)
                log_event(LOG_LEVEL_WARN,
                          LOG_FIELDS(.message_id = LOG_ID_CONNECTION_REFUSED, .connection = s->number,
                                     .peer = s->peer),
                          "connection %" PRIu64 " of %s turned away: %s (%" PRIu64
                          " since the last such line)",
                          s->number, s->peer, why, refusals);
}

static struct rules *find_client(struct worker *w, const struct session *s)
{
        struct rules *found;
        struct peer peer;

        session_peer(s, &peer);
        found = clients_match(&w->pipeline.clients, &peer);
        peer_deinit(&peer);
        return found;
}

/* Finds the client's section [client NAME], and turns the client away if there is none or its limit is reached. */
static const char *admit_client(struct worker *w, struct session *s)
{
        struct rules *found = find_client(w, s);
        char why[96];

        if (!found) {
                w->sessions.refusals[REFUSED_NOT_ALLOWED]++;
                log_refusal(w, s, "no section [client NAME] names it");
                return "not_allowed";
        }
        if (!rules_connect(found)) {
                snprintf(why, sizeof(why), "max_connections of [client %.32s] is %u", found->name,
                         found->max_connections);
                w->sessions.refusals[REFUSED_TOO_MANY]++;
                log_refusal(w, s, why);
                return "too_many_connections";
        }
        s->client = rules_ref(found);
        return NULL;
}

static const char *admit(void *ctx, struct session *s)
{
        struct worker *w = ctx;
        char why[64];

        if (s->peer_kind == PEER_DENIED) {
                w->sessions.refusals[REFUSED_NOT_ALLOWED]++;
                log_refusal(w, s, "neither in listen.allow_users nor in listen.allow_groups");
                return "not_allowed";
        }
        if (w->ops->count_clients(w->ctx) > w->config.limits.max_connections) {
                snprintf(why, sizeof(why), "limits.max_connections is %u", w->config.limits.max_connections);
                w->sessions.refusals[REFUSED_TOO_MANY]++;
                log_refusal(w, s, why);
                return "too_many_connections";
        }
        return w->pipeline.clients.len > 0 && s->peer_kind != PEER_OURSELVES ? admit_client(w, s) : NULL;
}

/* Returns the current rules for a session that had the rules @before; NULL if no section names it any more. */
static struct rules *find_again(struct worker *w, const struct session *s, const struct rules *before)
{
        bool ours = s->peer_kind == PEER_OURSELVES;
        struct rules *found = ours ? NULL : find_client(w, s);

        if (ours)
                return before ? pipeline_client_for(&w->pipeline, before->origin, NULL) : NULL;
        return found && before && before->owner
                       ? pipeline_client_for(&w->pipeline, before->owner->origin, found)
                       : rules_ref(found);
}

static const char *admit_again(void *ctx, struct session *s)
{
        struct worker *w = ctx;
        struct rules *before = s->client;
        bool ruled = w->pipeline.clients.len > 0;
        bool lost;

        s->client = ruled ? find_again(w, s, before) : NULL;
        lost = ruled && !s->client && s->peer_kind != PEER_OURSELVES;
        if (lost) /* what is received, and not decided yet, is not permitted */
                s->client = rules_new_gone(before ? before->name : "?");
        if (s->client)
                rules_connect_again(s->client);
        if (before)
                rules_disconnect(before);
        rules_unref(before);
        return lost ? "not_allowed" : NULL;
}

static void on_hierarchy(void *ctx, bool new_accounts)
{
        struct worker *w = ctx;

        w->ops->on_hierarchy(w->ctx, w, new_accounts);
}

static void fill_stats(struct worker *w, struct stats *ret, enum stats_detail detail)
{
        ret->taken_us = clock_monotonic_us();
        sessions_stats(&w->sessions, ret, detail, w->number);
        for (const struct rules_tally *t = w->tallies; t && detail >= STATS_STEP; t = t->next)
                stats_add_section(ret, &(struct stats_section){.tally = *t});
        pipeline_stats(&w->pipeline, ret, detail);
}

/* --- messages --- */

/* Messages to a worker that has ended find the box closed; they never carry a client, since the listeners
 * close first. */
static void post(struct worker *w, struct message *m)
{
        if (!mailbox_post_take(&w->inbox, m))
                free(m);
}

static void *new_message(size_t bytes)
{
        void *m = must_calloc(1, bytes);

        return m;
}

/* Posts a message without contents. */
static void post_word(struct worker *w, void (*deliver)(struct message *m, void *ctx))
{
        struct message *m = new_message(sizeof(*m));

        m->deliver = deliver;
        post(w, m);
}

struct connect_message {
        struct message message; /* first, here and below: freed by this address */
        struct session_socket socket;
};

static void deliver_connect(struct message *m, void *ctx)
{
        struct connect_message *c = container_of(m, struct connect_message, message);
        struct worker *w = ctx;
        int r;

        w->arriving--;
        r = session_accept_take(&w->sessions, &c->socket);
        if (r != 0)
                log_warn("connection %" PRIu64 " cannot be served: %s", c->socket.number, uv_strerror(r));
        free(c);
}

void worker_connect_take(struct worker *w, const struct session_socket *socket)
{
        struct connect_message *c = new_message(sizeof(*c));

        c->message.deliver = deliver_connect;
        c->socket = *socket;
        w->arriving++;
        post(w, &c->message);
}

struct tls_message {
        struct message message;
        struct tls_server tls;
};

static void deliver_tls(struct message *m, void *ctx)
{
        struct tls_message *t = container_of(m, struct tls_message, message);
        struct worker *w = ctx;

        tls_server_deinit(&w->tls);
        w->tls = t->tls;
        free(t);
        sessions_admit_again(&w->sessions);
}

void worker_set_tls(struct worker *w, const struct tls_server *tls)
{
        struct tls_message *t = new_message(sizeof(*t));

        t->message.deliver = deliver_tls;
        tls_server_share(&t->tls, tls);
        post(w, &t->message);
}

struct clients_message {
        struct message message;
        struct clients clients;
};

static void set_clients_take(struct worker *w, struct clients *clients)
{
        for (size_t i = 0; i < clients->len; i++)
                clients->items[i]->tally = rules_tally_of(&w->tallies, clients->items[i]->name);
        pipeline_set_clients_take(&w->pipeline, clients);
}

static void deliver_clients(struct message *m, void *ctx)
{
        struct clients_message *c = container_of(m, struct clients_message, message);
        struct worker *w = ctx;

        if (w->finished) {
                clients_deinit(&c->clients);
        } else {
                set_clients_take(w, &c->clients);
                sessions_admit_again(&w->sessions);
        }
        free(c);
}

void worker_set_clients_take(struct worker *w, struct clients *clients)
{
        struct clients_message *c = new_message(sizeof(*c));

        c->message.deliver = deliver_clients;
        c->clients = *clients;
        if (mailbox_post_take(&w->inbox, &c->message))
                return;
        clients_deinit(&c->clients);
        free(c);
}

struct config_message {
        struct message message;
        struct config share; /* only numbers are read, never strings */
};

static void deliver_config(struct message *m, void *ctx)
{
        struct config_message *c = container_of(m, struct config_message, message);
        struct worker *w = ctx;

        if (!w->draining) {
                w->config.limits = c->share.limits;
                w->config.batch = c->share.batch;
                sessions_set_idle(&w->sessions, w->config.limits.idle_ms);
                pipeline_limits_changed(&w->pipeline);
        }
        free(c);
}

void worker_set_config(struct worker *w, const struct config *share)
{
        struct config_message *c = new_message(sizeof(*c));

        c->message.deliver = deliver_config;
        c->share = *share;
        post(w, &c->message);
}

struct hierarchy_message {
        struct message message;
        bool new_accounts;
};

static void deliver_hierarchy(struct message *m, void *ctx)
{
        struct hierarchy_message *h = container_of(m, struct hierarchy_message, message);

        pipeline_hierarchy_changed(&((struct worker *)ctx)->pipeline, h->new_accounts);
        free(h);
}

void worker_hierarchy_changed(struct worker *w, bool new_accounts)
{
        struct hierarchy_message *h = new_message(sizeof(*h));

        h->message.deliver = deliver_hierarchy;
        h->new_accounts = new_accounts;
        post(w, &h->message);
}

struct report_message {
        struct message message;
        enum stats_detail detail;
        struct stats *stats;
        struct mailbox *back;
        struct message *done;
};

static void deliver_stats(struct message *m, void *ctx)
{
        struct report_message *r = container_of(m, struct report_message, message);

        fill_stats(ctx, r->stats, r->detail);
        mailbox_post_take(r->back, r->done);
        free(r);
}

bool worker_stats_post(struct worker *w, enum stats_detail detail, struct stats *stats, struct mailbox *back,
                       struct message *done)
{
        struct report_message *r = new_message(sizeof(*r));

        r->message.deliver = deliver_stats;
        r->detail = detail;
        r->stats = stats;
        r->back = back;
        r->done = done;
        if (mailbox_post_take(&w->inbox, &r->message))
                return true;
        free(r);
        return false;
}

static void deliver_drain(struct message *m, void *ctx)
{
        struct worker *w = ctx;

        free(m);
        w->draining = true;
        pipeline_drain(&w->pipeline);
        sessions_drain(&w->sessions);
        drain_step(w);
}

void worker_drain(struct worker *w)
{
        post_word(w, deliver_drain);
}

static void deliver_end_at_once(struct message *m, void *ctx)
{
        struct worker *w = ctx;

        free(m);
        sessions_end_at_once(&w->sessions);
}

void worker_end_at_once(struct worker *w)
{
        post_word(w, deliver_end_at_once);
}

/* --- the beginning and the end --- */

static void close_all(struct worker *w)
{
        w->finished = true;
        fill_stats(w, &w->last_stats, STATS_COUNTS);
        mailbox_close(&w->inbox);
        sessions_deinit(&w->sessions);
        pipeline_close(&w->pipeline);
        uv_close((uv_handle_t *)&w->finish, NULL);
}

static void on_finish(uv_timer_t *timer)
{
        close_all(timer->data);
}

static void open_sessions(struct worker *w)
{
        static const struct session_ops ops = {
                .admit = admit, .admit_again = admit_again, .on_gone = on_gone};
        const struct session_limits limits = {w->config.limits.max_line_bytes, w->config.limits.idle_ms,
                                              &w->tls};
        const struct session_sink sink = pipeline_sink(&w->pipeline);

        sessions_init(&w->sessions, &w->loop, &ops, w, &sink, &limits);
}

int worker_open(struct worker *w, unsigned number, const struct config *share, struct reject_file *rejects,
                struct receipt_clock *clock, const struct worker_ops *ops, void *ctx)
{
        int err;

        *w = (struct worker){.number = number, .config = *share, .ops = ops, .ctx = ctx};
        if (uv_loop_init(&w->loop) != 0 || mailbox_open(&w->inbox, &w->loop, w) != 0)
                abort(); /* out of memory or descriptors at the very start */
        uv_timer_init(&w->loop, &w->finish);
        w->finish.data = w;
        err = pipeline_open(&w->pipeline, &w->loop, &w->config, rejects, clock, on_hierarchy, w);
        open_sessions(w);
        return err;
}

void worker_begin_clients_take(struct worker *w, struct clients *clients)
{
        set_clients_take(w, clients);
}

static void run(void *arg)
{
        struct worker *w = arg;
        char name[16];

        snprintf(name, sizeof(name), "worker %u", w->number);
        pthread_setname_np(pthread_self(), name);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        w->ops->on_ended(w->ctx, w);
}

int worker_start(struct worker *w)
{
        int r = uv_thread_create(&w->thread, run, w);

        w->started = r == 0;
        return r;
}

void worker_join(struct worker *w)
{
        if (w->started) {
                uv_thread_join(&w->thread);
        } else {
                close_all(w);
                uv_run(&w->loop, UV_RUN_DEFAULT);
        }
}

void worker_deinit(struct worker *w)
{
        pipeline_deinit(&w->pipeline);
        rules_tallies_free(w->tallies);
        tls_server_deinit(&w->tls);
        mailbox_deinit(&w->inbox);
        if (uv_loop_close(&w->loop) != 0)
                abort(); /* a handle was not closed */
}
