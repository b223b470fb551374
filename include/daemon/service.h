#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

/* The protocol with systemd: passed sockets and sd_notify(3). Does nothing if $NOTIFY_SOCKET, $WATCHDOG_USEC
 * and $LISTEN_FDS are unset. */

enum {
        SERVICE_SOCKETS_MAX = 16,
        SERVICE_STATUS_BYTES = 768,
};

struct service {
        uv_timer_t watchdog;
        bool ready;
        bool managed;                      /* notifications are received */
        char status[SERVICE_STATUS_BYTES]; /* the last one sent */
        /* Asks whether everything is alive; the answer is service_alive, immediately or later. */
        void (*ask_alive)(void *ctx);
        void *ctx;
};

/* Returns the number of sockets that systemd passed to this process, with the descriptors, now the caller's,
 * in @ret; works once. Returns a negative errno if there are more than SERVICE_SOCKETS_MAX or the number is
 * unknown. Must be called before there are threads, since it changes the environment. */
int service_take_sockets(int ret[SERVICE_SOCKETS_MAX]);

/* With a watchdog, calls @ask_alive four times per watchdog period. */
void service_init(struct service *s, uv_loop_t *loop, void (*ask_alive)(void *ctx), void *ctx);

/* May be called twice. */
void service_close(struct service *s);

/* Everything is alive: resets the watchdog. */
void service_alive(struct service *s);

/* The start, or a reload, is complete. */
void service_ready(struct service *s);

/* A reload begins; service_ready ends it. */
void service_reloading(struct service *s);

/* Stopping begins. */
void service_stopping(struct service *s);

/* Sends a status line for people unless it is the last one sent. */
void service_status(struct service *s, const char *status);

#endif
