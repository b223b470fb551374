/* On SIGTERM or SIGINT the partitions settle what they have sent, then end. After shutdown.timeout_ms, or on
 * a second signal, they end without settling: the messages will be delivered again. A partition that still
 * hangs (in a query, for example) ends with the process. */
#include "relay/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/hide_memory.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "model/db.h"
#include "monitor/http.h"
#include "relay/fence.h"
#include "relay/pages.h"
#include "relay/partition.h"
#include "relay/partition_list.h"

enum { TICK_MS = 100, LAST_MS = 3000 };

enum relay_state {
        RELAY_RUNNING,
        RELAY_STOPPING,
        RELAY_ABANDONING, /* ending without waiting */
        RELAY_OVER,
};

struct relay {
        const struct config *config;
        enum relay_state state;
        uv_loop_t loop;
        uv_timer_t tick;
        struct signals signals;
        struct service service;
        struct http http;
        struct nats nats;
        struct partition *partitions;
        size_t partitions_len;
        int64_t next_state_ms; /* when stopping enters its next state */
        int status;
};

/* --- HTTP --- */

static struct relay_facts read_facts(struct relay *r, struct partition_facts *partitions)
{
        for (size_t i = 0; i < r->partitions_len; i++)
                partitions[i] = partition_stats_read(&r->partitions[i].stats);
        return (struct relay_facts){nats_connected(&r->nats), r->state != RELAY_RUNNING, partitions,
                                    r->partitions_len};
}

static void answer(struct relay *r, struct http_request *request)
{
        struct partition_facts *partitions = calloc(r->partitions_len, sizeof(*partitions));
        struct http_answer a = {.status = 200, .type = "text/plain; charset=utf-8"};
        struct buf body = {0};
        struct relay_facts facts;

        if (!partitions)
                abort();
        facts = read_facts(r, partitions);
        if (strcmp(request->path, "/metrics") == 0) {
                a.type = "text/plain; version=0.0.4; charset=utf-8";
                pages_metrics(&facts, &body);
        } else if (!pages_ready(&facts, &body)) {
                a.status = 503;
        }
        a.body = (struct slice){body.data, body.len};
        http_answer(&r->http, request, &a);
        buf_deinit(&body);
        free(partitions);
}

static void on_request(void *ctx, struct http_request *request)
{
        struct relay *r = ctx;

        if (strcmp(request->path, "/metrics") == 0 || strcmp(request->path, "/readyz") == 0)
                answer(r, request);
        else if (strcmp(request->path, "/healthz") == 0)
                http_answer_text(&r->http, request, 200, "ok");
        else
                http_answer_text(&r->http, request, 404, "not found: try /metrics, /readyz or /healthz");
}

/* --- the stop --- */

static void stop(struct relay *r, bool abandon)
{
        if (r->state >= RELAY_ABANDONING || (r->state == RELAY_STOPPING && !abandon))
                return;
        if (r->state == RELAY_RUNNING)
                service_stopping(&r->service);
        r->state = abandon ? RELAY_ABANDONING : RELAY_STOPPING;
        r->next_state_ms =
                clock_monotonic_ms() + (abandon ? LAST_MS : (int64_t)r->config->shutdown.timeout_ms);
        log_info(abandon ? "stopping without waiting for the daemon: what is not settled is relayed again"
                         : "stopping");
        for (size_t i = 0; i < r->partitions_len; i++)
                partition_stop(&r->partitions[i], abandon);
}

static bool all_ended(const struct relay *r)
{
        for (size_t i = 0; i < r->partitions_len; i++) {
                if (!atomic_load(&r->partitions[i].ended))
                        return false;
        }
        return true;
}

static void close_loop(struct relay *r)
{
        r->state = RELAY_OVER;
        http_close(&r->http);
        service_close(&r->service);
        signals_close(&r->signals);
        uv_close((uv_handle_t *)&r->tick, NULL);
}

/* A thread that hangs in a query or name look-up cannot be joined. Nothing is lost: it cannot feed any more. */
static void end_at_once(void)
{
        log_warn("a partition does not stop: exiting");
        log_stop();
        _exit(1);
}

static void on_tick(uv_timer_t *timer)
{
        struct relay *r = timer->data;
        bool late = r->state != RELAY_RUNNING && clock_monotonic_ms() >= r->next_state_ms;

        if (r->state == RELAY_RUNNING && atomic_load(&r->nats.closed)) {
                r->status = 1;
                stop(r, true);
        }
        if (r->state != RELAY_RUNNING && all_ended(r))
                close_loop(r);
        else if (late && r->state == RELAY_STOPPING)
                stop(r, true);
        else if (late && r->state == RELAY_ABANDONING)
                end_at_once();
}

static void on_signal(void *ctx, int number)
{
        struct relay *r = ctx;

        if (number == SIGTERM || number == SIGINT)
                stop(r, r->state != RELAY_RUNNING);
}

static void on_ask_alive(void *ctx)
{
        service_alive(&((struct relay *)ctx)->service);
}

/* --- the start --- */

static int start_partitions(struct relay *r)
{
        struct uuid holder = uuid_v7(clock_now_us() / 1000);
        unsigned numbers[PARTITIONS_MAX];
        size_t len = partition_list_read(r->config->relay.partitions, numbers);

        r->partitions = calloc(len, sizeof(*r->partitions));
        if (!r->partitions)
                abort();
        for (size_t i = 0; i < len; i++) {
                if (!partition_start(&r->partitions[i], r->config, &r->nats, numbers[i], &holder)) {
                        log_error("cannot start a thread for partition %u: %s", numbers[i], strerror(errno));
                        return -1;
                }
                r->partitions_len++;
        }
        return 0;
}

static int open_all(struct relay *r)
{
        const char *listen = r->config->relay.http_listen;
        char error[NATS_ERROR_BYTES];
        char http_error[HTTP_ERROR_BYTES];
        int err = 0;

        uv_timer_init(&r->loop, &r->tick);
        r->tick.data = r;
        service_init(&r->service, &r->loop, on_ask_alive, r);
        signals_open(&r->signals, &r->loop, on_signal, r);
        if (listen[0] && (err = http_open(&r->http, &r->loop, "relay.http_listen", listen, on_request, r,
                                          http_error)) != 0)
                log_error("%s", http_error);
        if (!db_url_valid(r->config->database.url)) {
                log_error("%s", DB_BAD_URL);
                err = -1;
        }
        if (!err && !nats_open(&r->nats, r->config, error)) {
                log_error("%s", error);
                err = -1;
        }
        return err ? err : start_partitions(r);
}

static void close_all(struct relay *r)
{
        for (size_t i = 0; i < r->partitions_len; i++)
                partition_join(&r->partitions[i]);
        nats_close(&r->nats);
        free(r->partitions);
}

int relay_run(const struct config *config)
{
        struct relay r = {.config = config};

        signals_block(); /* before there are threads */
        signal(SIGPIPE, SIG_IGN);
        hide_memory();
        fence_install();
        if (uv_loop_init(&r.loop) != 0) {
                log_error("cannot create an event loop: out of memory or descriptors");
                return 1;
        }
        log_start();
        if (open_all(&r) == 0) {
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_STARTED),
                          "boris-ingestd-relay " INGESTD_VERSION " started: stream %s, partitions %s",
                          config->relay.stream, config->relay.partitions);
                service_ready(&r.service);
        } else {
                r.status = 1;
                stop(&r, true);
        }
        uv_timer_start(&r.tick, on_tick, TICK_MS, TICK_MS);
        uv_run(&r.loop, UV_RUN_DEFAULT);
        close_all(&r);
        if (uv_loop_close(&r.loop) != 0)
                abort(); /* a handle was forgotten */
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_STOPPED), "stopped");
        log_stop();
        return r.status;
}
