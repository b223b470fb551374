#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

/* The service manager's side: what systemd hands over and what it is told, by sd_notify(3). Where nobody
 * asked for it ($NOTIFY_SOCKET, $WATCHDOG_USEC and $LISTEN_FDS are unset) nothing happens. */

enum {
        SERVICE_SOCKETS_MAX = 16,
        SERVICE_STATUS_BYTES = 768,
};

struct service {
        uv_timer_t watchdog;
        bool ready;
        bool managed;                      /* somebody listens to what is told */
        char status[SERVICE_STATUS_BYTES]; /* as it was told last */
        /* Is everything alive? To be answered with service_alive, now or later. */
        void (*ask_alive)(void *ctx);
        void *ctx;
};

/* The sockets that systemd listens on for this process, once: their number, with the descriptors in @ret,
 * which are the caller's. A negative errno where there are more than SERVICE_SOCKETS_MAX, or it cannot be
 * told. To be called before there are threads: it changes the environment. */
int service_take_sockets(int ret[SERVICE_SOCKETS_MAX]);

/* Where a watchdog is asked for, @ask_alive is called four times in each of its periods. */
void service_init(struct service *s, uv_loop_t *loop, void (*ask_alive)(void *ctx), void *ctx);

/* May be called twice. */
void service_close(struct service *s);

/* Everything is alive: feeds the watchdog. */
void service_alive(struct service *s);

/* The start, or a reload, is over. */
void service_ready(struct service *s);

/* A reload begins; service_ready ends it. */
void service_reloading(struct service *s);

/* The end begins. */
void service_stopping(struct service *s);

/* What the daemon is doing, one line for people; told only where it is not what was told last. */
void service_status(struct service *s, const char *status);

#endif
