#ifndef SIGNALS_H
#define SIGNALS_H

#include <uv.h>

/* The signals of an operator: SIGTERM, SIGINT, SIGHUP, SIGUSR1. They are blocked in all threads and read
 * from a descriptor (signalfd(2)), so none of them can kill the process. Signals that arrive before the loop
 * runs are handled when it does; signals after its end are ignored. */
struct signals {
        int fd;
        uv_poll_t poll;
        void (*on_signal)(void *ctx, int number);
        void *ctx;
};

/* Blocks the signals that must not kill a process still starting; SIGTERM and SIGINT may. */
void signals_hold(void);

/* Must be called before there are other threads, which inherit the mask. May be called twice. */
void signals_block(void);

/* Returns 0 or a negative errno. */
int signals_open(struct signals *s, uv_loop_t *loop, void (*on_signal)(void *ctx, int number), void *ctx);

/* The handle no longer keeps the loop alive, but still receives signals. */
void signals_unref(struct signals *s);

/* The signals stay blocked. */
void signals_close(struct signals *s);

#endif
