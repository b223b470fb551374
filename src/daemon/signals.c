#include "daemon/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <sys/signalfd.h>

static void fill_set(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGHUP);
        sigaddset(set, SIGUSR1);
}

void signals_hold(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void signals_block(void)
{
        sigset_t set;

        fill_set(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
        struct signals *s = poll->data;
        struct signalfd_siginfo info;

        (void)status;
        (void)events;
        while (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                s->on_signal(s->ctx, (int)info.ssi_signo);
}

int signals_open(struct signals *s, uv_loop_t *loop, void (*on_signal)(void *ctx, int number), void *ctx)
{
        sigset_t set;
        int r;

        signals_block();
        fill_set(&set);
        *s = (struct signals){
                .on_signal = on_signal, .ctx = ctx, .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
        if (s->fd < 0)
                return -errno;
        r = uv_poll_init(loop, &s->poll, s->fd);
        s->poll.data = s;
        return r ? r : uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

void signals_unref(struct signals *s)
{
        uv_unref((uv_handle_t *)&s->poll);
}

static void on_closed(uv_handle_t *handle)
{
        struct signals *s = handle->data;

        close(s->fd);
}

void signals_close(struct signals *s)
{
        uv_close((uv_handle_t *)&s->poll, on_closed);
}
