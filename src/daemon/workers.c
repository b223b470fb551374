#include "daemon/workers.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/clients.h"

/* --- their words, in their threads --- */

static unsigned count_clients(void *ctx)
{
        const struct workers *ws = ctx;
        unsigned sum = 0;

        for (unsigned i = 0; i < ws->len; i++)
                sum += sessions_clients(&ws->items[i].sessions);
        return sum;
}

static void on_hierarchy(void *ctx, const struct worker *from, bool new_accounts)
{
        struct workers *ws = ctx;

        for (unsigned i = 0; i < ws->len; i++) {
                if (&ws->items[i] != from)
                        worker_hierarchy_changed(&ws->items[i], new_accounts);
        }
}

struct ended_message {
        struct message message;
        struct worker *worker;
};

static void deliver_ended(struct message *m, void *ctx)
{
        struct ended_message *e = container_of(m, struct ended_message, message);
        struct workers *ws = ctx;

        worker_join(e->worker);
        free(e);
        if (--ws->alive == 0)
                ws->on_ended(ws->ctx);
}

static void on_ended(void *ctx, struct worker *w)
{
        struct workers *ws = ctx;
        struct ended_message *e = must_calloc(1, sizeof(*e));

        e->message.deliver = deliver_ended;
        e->worker = w;
        mailbox_post_take(&ws->inbox, &e->message);
}

/* --- reports --- */

struct stats_request;

struct stats_done {
        struct message message;
        struct stats_request *request;
};

/* Freed when the last stats have arrived. */
struct stats_request {
        unsigned left;
        unsigned len;
        void (*cb)(void *ctx, struct stats *sum);
        void *ctx;
        struct stats_done *done;
        struct stats *reports;
};

static void on_stats(struct stats_request *request)
{
        struct stats sum = {0};

        if (--request->left > 0)
                return;
        for (unsigned i = 0; i < request->len; i++)
                stats_merge_take(&sum, &request->reports[i]);
        request->cb(request->ctx, &sum);
        stats_deinit(&sum);
        free(request->done);
        free(request->reports);
        free(request);
}

static void deliver_stats(struct message *m, void *ctx)
{
        (void)ctx;
        on_stats(container_of(m, struct stats_done, message)->request);
}

void workers_stats(struct workers *ws, enum stats_detail detail, void (*cb)(void *ctx, struct stats *sum),
                   void *ctx)
{
        struct stats_request *request = must_calloc(1, sizeof(*request));

        *request = (struct stats_request){.left = ws->len + 1, .len = ws->len, .cb = cb, .ctx = ctx};
        request->done = must_calloc(ws->len, sizeof(*request->done));
        request->reports = must_calloc(ws->len, sizeof(*request->reports));
        for (unsigned i = 0; i < ws->len; i++) {
                request->done[i].message.deliver = deliver_stats;
                request->done[i].request = request;
                if (worker_stats_post(&ws->items[i], detail, &request->reports[i], &ws->inbox,
                                      &request->done[i].message))
                        continue;
                request->reports[i] = ws->items[i].last_stats;
                request->reports[i].taken_us = clock_monotonic_us(); /* unchanged since its end */
                on_stats(request);
        }
        on_stats(request); /* all have been asked */
}

/* --- for the main thread --- */

/* Returns worker @i's share of @total. */
static unsigned share_of(unsigned total, unsigned i, unsigned workers)
{
        unsigned share = total / workers + (i < total % workers);

        return share > 0 ? share : 1;
}

static struct config config_share(const struct config *config, unsigned i, unsigned workers)
{
        struct config share = *config;

        share.database.writers = share_of(config->database.writers, i, workers);
        share.limits.memory_bytes /= workers;
        share.resolve.cache_objects /= workers;
        return share;
}

/* Returns 0, or ERR_CONFIG after logging the reason. */
static int read_clients(struct workers *ws, const struct config *config, struct clients *ret)
{
        char error[CONFIG_ERROR_BYTES];
        int err = clients_read(ret, config, error);

        if (err)
                log_error("%s", error);
        for (size_t i = 0; i < ret->len && !err; i++)
                ret->items[i]->quota = rules_quota_of(&ws->quotas, ret->items[i]->name);
        return err;
}

/* Of a worker that is not started. */
static int begin_clients(struct workers *ws, struct worker *w, const struct config *config)
{
        struct clients clients;
        int err = read_clients(ws, config, &clients);

        if (err)
                clients_deinit(&clients);
        else
                worker_begin_clients_take(w, &clients);
        return err;
}

/* Also where the sections are the same: users and groups may have changed. */
void workers_set_clients(struct workers *ws, const struct config *config)
{
        bool ruled = ws->ruled;

        ws->ruled = config->clients_len > 0;
        if (!ws->ruled && !ruled)
                return;
        clients_warn_unmatched(config);
        for (unsigned i = 0; i < ws->len; i++) {
                struct clients clients;

                if (read_clients(ws, config, &clients) == 0)
                        worker_set_clients_take(&ws->items[i], &clients);
                else
                        clients_deinit(&clients);
        }
}

int workers_open(struct workers *ws, uv_loop_t *loop, const struct config *config,
                 struct reject_file *rejects, void (*ended)(void *ctx), void *ctx)
{
        static const struct worker_ops ops = {
                .count_clients = count_clients, .on_hierarchy = on_hierarchy, .on_ended = on_ended};
        unsigned len = config->daemon.workers;
        int err = 0;

        *ws = (struct workers){.receipt_clock.now_us = clock_now_us, .on_ended = ended, .ctx = ctx};
        ws->items = must_calloc(len, sizeof(*ws->items));
        if (mailbox_open(&ws->inbox, loop, ws) != 0)
                abort(); /* at the very start */
        for (; ws->len < len && err == 0; ws->len++) {
                struct config share = config_share(config, ws->len, len);

                err = worker_open(&ws->items[ws->len], ws->len + 1, &share, rejects, &ws->receipt_clock, &ops,
                                  ws);
                if (!err)
                        err = begin_clients(ws, &ws->items[ws->len], config);
        }
        ws->ruled = config->clients_len > 0;
        clients_warn_unmatched(config);
        return err;
}

void workers_start(struct workers *ws)
{
        for (unsigned i = 0; i < ws->len; i++) {
                int r = worker_start(&ws->items[i]);

                if (r != 0) {
                        log_error("cannot start a worker thread: %s (check daemon.workers and TasksMax=)",
                                  uv_strerror(r));
                        log_stop();
                        _exit(1); /* other threads run already; no client has been accepted yet */
                }
                ws->alive++;
        }
}

static bool has_room(const struct worker *w)
{
        return w->arriving < WORKER_ARRIVING_MAX;
}

bool workers_have_room(const struct workers *ws)
{
        for (unsigned i = 0; i < ws->len; i++) {
                if (has_room(&ws->items[i]))
                        return true;
        }
        return false;
}

static void step_to_next(struct workers *ws)
{
        if (++ws->next >= ws->len)
                ws->next = 0;
}

void workers_connect_take(struct workers *ws, const struct session_socket *socket)
{
        struct worker *w;

        for (unsigned tries = 0; tries < ws->len; tries++) { /* round robin, skipping busy workers */
                if (has_room(&ws->items[ws->next]))
                        break;
                step_to_next(ws);
        }
        w = &ws->items[ws->next];
        step_to_next(ws);
        worker_connect_take(w, socket);
}

void workers_set_tls(struct workers *ws, const struct tls_server *tls)
{
        for (unsigned i = 0; i < ws->len; i++)
                worker_set_tls(&ws->items[i], tls);
}

void workers_set_config(struct workers *ws, const struct config *config)
{
        for (unsigned i = 0; i < ws->len; i++) {
                struct config share = config_share(config, i, ws->len);

                worker_set_config(&ws->items[i], &share);
        }
}

void workers_drain(struct workers *ws)
{
        for (unsigned i = 0; i < ws->len; i++)
                worker_drain(&ws->items[i]);
}

void workers_end_at_once(struct workers *ws)
{
        for (unsigned i = 0; i < ws->len; i++)
                worker_end_at_once(&ws->items[i]);
}

void workers_close(struct workers *ws)
{
        assert(ws->alive == 0);
        for (unsigned i = 0; i < ws->len; i++) {
                if (!ws->items[i].started)
                        worker_join(&ws->items[i]);
        }
        mailbox_close(&ws->inbox);
}

void workers_last_stats(const struct workers *ws, struct stats *ret)
{
        *ret = (struct stats){0};
        for (unsigned i = 0; i < ws->len; i++) {
                struct stats part = ws->items[i].last_stats;

                stats_merge_take(ret, &part);
        }
}

void workers_deinit(struct workers *ws)
{
        for (unsigned i = 0; i < ws->len; i++)
                worker_deinit(&ws->items[i]);
        free(ws->items);
        rules_quotas_free(ws->quotas);
        mailbox_deinit(&ws->inbox);
}
