/* A request that needs numbers waits for stats that were requested after it arrived, so that a client finds
 * all its acked lines in them. Only one set of stats is awaited at a time; later requests wait for the next. */
#include "monitor/monitor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "monitor/status.h"
#include "monitor/status_page.h"

enum {
        STEP_MS = 1000,
        PATIENCE_US = STATUS_STALE_US, /* for stats: after that, requests are answered with the last ones */
        STUCK_US = 15 * 1000000,       /* a worker silent for that long is stuck, not just busy */
};

static bool awaits(const struct monitor *m)
{
        return m->asks > m->reports;
}

static uint64_t awaited_us(const struct monitor *m)
{
        return awaits(m) ? clock_monotonic_us() - m->asked_us : 0;
}

/* --- pages --- */

static void fill_status(const struct monitor *m, struct status *s)
{
        *s = (struct status){.version = INGESTD_VERSION,
                             .pid = getpid(),
                             .started_us = m->started_us,
                             .now_us = clock_now_us(),
                             .clock_us = clock_monotonic_us(),
                             .workers = m->config->daemon.workers,
                             .trouble = m->trouble,
                             .draining = m->draining,
                             .connections_limit = m->config->limits.max_connections,
                             .accepted = m->accepted,
                             .reload_failed = m->reload_failed,
                             .configured_us = m->configured_us,
                             .expires_s = m->expires_s,
                             .crl_expires_s = m->crl_expires_s,
                             .http_requests = m->http.answered,
                             .stats = &m->stats,
                             .history = &m->history};
        status_judge(s);
}

static void answer_buf(struct monitor *m, struct http_request *r, const char *type, struct buf *body)
{
        const struct http_answer answer = {.status = 200, .type = type, .body = {body->data, body->len}};

        http_answer(&m->http, r, &answer);
        buf_deinit(body);
}

static void answer_ready(struct monitor *m, struct http_request *r, const struct status *s)
{
        http_answer_text(&m->http, r, s->not_ready[0] ? 503 : 200, s->not_ready[0] ? s->not_ready : "ready");
}

static void answer_metrics(struct monitor *m, struct http_request *r, const struct status *s)
{
        struct process_stats process;
        struct status with_process = *s;
        struct buf body = {0};

        process_stats_read(&process);
        with_process.process = &process;
        metrics_write(&body, &with_process);
        answer_buf(m, r, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static void answer_json(struct monitor *m, struct http_request *r, const struct status *s)
{
        struct buf body = {0};

        status_json_write(&body, s);
        answer_buf(m, r, "application/json", &body);
}

static void answer_html(struct monitor *m, struct http_request *r)
{
        const struct embedded_file *html = &status_page[STATUS_PAGE_HTML];
        const struct http_answer answer = {.status = 200,
                                           .type = "text/html; charset=utf-8",
                                           .policy = status_page[STATUS_PAGE_POLICY].text,
                                           .body = {html->text, html->len}};

        http_answer(&m->http, r, &answer);
}

/* Reports whether the event loops run; the main loop obviously does. */
static void answer_health(struct monitor *m, struct http_request *r)
{
        bool stuck = awaited_us(m) > STUCK_US;

        http_answer_text(&m->http, r, stuck ? 503 : 200, stuck ? "a worker does not answer" : "ok");
}

/* --- which page --- */

enum page { PAGE_NONE, PAGE_HTML, PAGE_HEALTH, PAGE_READY, PAGE_METRICS, PAGE_JSON };

static enum page page_of(const struct http_request *r)
{
        static const char *const paths[] = {
                [PAGE_NONE] = "",         [PAGE_HTML] = "/",           [PAGE_HEALTH] = "/healthz",
                [PAGE_READY] = "/readyz", [PAGE_METRICS] = "/metrics", [PAGE_JSON] = "/status.json",
        };
        enum page page = sizeof(paths) / sizeof(paths[0]);

        while (--page != PAGE_NONE && strcmp(r->path, paths[page]) != 0)
                ;
        return page;
}

static void answer_with_stats(struct monitor *m, struct http_request *r)
{
        struct status s;

        fill_status(m, &s);
        switch (page_of(r)) {
        case PAGE_READY:
                answer_ready(m, r, &s);
                return;
        case PAGE_METRICS:
                answer_metrics(m, r, &s);
                return;
        case PAGE_JSON:
                answer_json(m, r, &s);
                return;
        case PAGE_NONE:
        case PAGE_HTML:
        case PAGE_HEALTH:
                return; /* these need no stats */
        }
}

/* --- asking --- */

/* May be called only while no stats are awaited. */
static void ask(struct monitor *m)
{
        enum stats_detail detail = STATS_STEP;

        for (struct list *l = m->waiting.next; l != &m->waiting; l = l->next) {
                if (page_of(container_of(l, struct http_request, queue)) == PAGE_JSON)
                        detail = STATS_LISTS;
        }
        m->asks++;
        m->asked_us = clock_monotonic_us();
        m->ops->ask(m->ctx, detail);
}

static void answer_waiting(struct monitor *m)
{
        struct list now;

        list_init(&now);
        list_splice(&now, &m->waiting);
        while (!list_empty(&now)) {
                struct http_request *r = container_of(now.next, struct http_request, queue);

                list_remove(&r->queue);
                if (r->turn <= m->reports)
                        answer_with_stats(m, r);
                else
                        list_append(&m->waiting, &r->queue);
        }
}

void monitor_on_stats_take(struct monitor *m, struct stats *sum)
{
        m->reports++;
        stats_deinit(&m->stats);
        m->stats = *sum;
        *sum = (struct stats){0};
        history_note(&m->history, &m->stats);
        if (m->step_due)
                history_add(&m->history, &m->stats);
        m->step_due = false;
        answer_waiting(m);
        if (!list_empty(&m->waiting))
                ask(m);
}

/* Answers with the last stats; the answer contains their age. */
static void give_up_waiting(struct monitor *m)
{
        while (!list_empty(&m->waiting)) {
                struct http_request *r = container_of(m->waiting.next, struct http_request, queue);

                list_remove(&r->queue);
                answer_with_stats(m, r);
        }
}

static void on_tick(uv_timer_t *timer)
{
        struct monitor *m = timer->data;

        if (awaited_us(m) > PATIENCE_US)
                give_up_waiting(m);
        m->step_due = true;
        if (!awaits(m))
                ask(m);
}

static void on_request(void *ctx, struct http_request *r)
{
        struct monitor *m = ctx;
        enum page page = page_of(r);

        if (page == PAGE_HTML) {
                answer_html(m, r);
        } else if (page == PAGE_HEALTH) {
                answer_health(m, r);
        } else if (page == PAGE_NONE) {
                http_answer_text(&m->http, r, 404,
                                 "not found: try /, /metrics, /healthz, /readyz and /status.json");
        } else {
                r->turn = m->asks + 1;
                list_append(&m->waiting, &r->queue);
                if (!awaits(m))
                        ask(m);
        }
}

/* --- the beginning and the end --- */

int monitor_open(struct monitor *m, uv_loop_t *loop, const struct config *config,
                 const struct monitor_ops *ops, void *ctx)
{
        char error[HTTP_ERROR_BYTES];
        int err = 0;

        *m = (struct monitor){.config = config,
                              .ops = ops,
                              .ctx = ctx,
                              .trouble = "",
                              .started_us = clock_now_us(),
                              .stats = {.taken_us = clock_monotonic_us()}};
        list_init(&m->waiting);
        history_begin(&m->history, clock_monotonic_us());
        uv_timer_init(loop, &m->tick);
        m->tick.data = m;
        if (!config->http.listen[0])
                return 0;
        err = http_open(&m->http, loop, "http.listen", config->http.listen, on_request, m, error);
        if (err)
                log_error("%s", error);
        else
                uv_timer_start(&m->tick, on_tick, STEP_MS, STEP_MS);
        return err;
}

void monitor_on_configured(struct monitor *m, bool successful, int64_t expires_s, int64_t crl_expires_s)
{
        m->reload_failed = !successful;
        if (successful)
                m->configured_us = clock_now_us();
        m->expires_s = expires_s;
        m->crl_expires_s = crl_expires_s;
}

void monitor_drain(struct monitor *m)
{
        m->draining = true;
}

void monitor_close(struct monitor *m)
{
        give_up_waiting(m);
        http_close(&m->http);
        uv_close((uv_handle_t *)&m->tick, NULL);
}

void monitor_deinit(struct monitor *m)
{
        stats_deinit(&m->stats);
}
