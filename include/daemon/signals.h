#ifndef SIGNALS_H
#define SIGNALS_H

#include <uv.h>

/* The signals that an operator sends: SIGTERM, SIGINT, SIGHUP, SIGUSR1. They are blocked in all threads and read
 * from a descriptor (signalfd(2)), so that none of them can kill the process at any time: what comes before the
 * loop turns is handled then, what comes behind its end is not looked at. */
struct signals {
        int fd;
        uv_poll_t poll;
        void (*on_signal)(void *ctx, int number);
        void *ctx;
};

/* Blocks those of which a start that hangs need not die. */
void signals_hold(void);

/* To be called before other threads are made, which inherit it. May be called twice. */
void signals_block(void);

/* 0 or a negative errno. */
int signals_open(struct signals *s, uv_loop_t *loop, void (*on_signal)(void *ctx, int number), void *ctx);

/* They do not keep the loop alive any longer, but are still heard while it is. */
void signals_unref(struct signals *s);

/* They stay blocked. */
void signals_close(struct signals *s);

#endif
