#include "daemon/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"

enum { ASKS_PER_PERIOD = 4 }; /* two answers per period would do; an answer may be late */

int service_take_sockets(int ret[SERVICE_SOCKETS_MAX])
{
        int len = sd_listen_fds(true);

        if (len > SERVICE_SOCKETS_MAX)
                return -E2BIG;
        for (int i = 0; i < len; i++)
                ret[i] = SD_LISTEN_FDS_START + i;
        return len;
}

static void on_watchdog(uv_timer_t *timer)
{
        struct service *s = timer->data;

        s->ask_alive(s->ctx);
}

void service_init(struct service *s, uv_loop_t *loop, void (*ask_alive)(void *ctx), void *ctx)
{
        uint64_t period_us;

        *s = (struct service){.ask_alive = ask_alive, .ctx = ctx, .managed = getenv("NOTIFY_SOCKET") != NULL};
        uv_timer_init(loop, &s->watchdog);
        s->watchdog.data = s;
        if (sd_watchdog_enabled(false, &period_us) > 0) {
                uint64_t pause_ms = period_us / 1000 / ASKS_PER_PERIOD;

                uv_timer_start(&s->watchdog, on_watchdog, 0, pause_ms > 0 ? pause_ms : 1);
        }
}

void service_close(struct service *s)
{
        if (!uv_is_closing((uv_handle_t *)&s->watchdog))
                uv_close((uv_handle_t *)&s->watchdog, NULL);
}

void service_alive(struct service *s)
{
        if (uv_is_active((uv_handle_t *)&s->watchdog))
                sd_notify(false, "WATCHDOG=1");
}

void service_ready(struct service *s)
{
        s->ready = true;
        sd_notify(false, "READY=1");
}

void service_reloading(struct service *s)
{
        (void)s;
        sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_us());
}

void service_stopping(struct service *s)
{
        (void)s;
        sd_notify(false, "STOPPING=1");
}

void service_status(struct service *s, const char *status)
{
        char line[SERVICE_STATUS_BYTES];

        snprintf(line, sizeof(line), "%s", status);
        if (strcmp(line, s->status) == 0)
                return;
        memcpy(s->status, line, sizeof(line));
        sd_notifyf(false, "STATUS=%s", line);
}
