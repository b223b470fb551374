/* The handler runs in the guarded thread itself, so that the descriptor it reads is never one that was closed and given to
 * somebody else: the thread calls fence_guard(-1) before it closes. */
#include "relay/fence.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>

#include "base/clock.h"

static _Thread_local volatile sig_atomic_t guarded = -1;
static _Thread_local volatile sig_atomic_t down = 1;
static _Thread_local timer_t timer;

static void come_down(void)
{
        down = 1;
        if (guarded >= 0)
                shutdown(guarded, SHUT_RDWR);
}

static void on_signal(int number)
{
        int saved = errno;

        (void)number;
        come_down();
        errno = saved;
}

void fence_install(void)
{
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

        sigaction(SIGRTMIN, &action, NULL);
}

bool fence_init(void)
{
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};

        event._sigev_un._tid = gettid();
        guarded = -1;
        down = 1;
        return timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
}

void fence_deinit(void)
{
        timer_delete(timer);
}

void fence_raise(int64_t until_ms)
{
        struct itimerspec at = {
                .it_value = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000}};

        down = 0;
        timer_settime(timer, TIMER_ABSTIME, &at, NULL);
        if (clock_monotonic_ms() >= until_ms)
                come_down();
}

void fence_drop(void)
{
        struct itimerspec never = {0};

        timer_settime(timer, 0, &never, NULL);
        come_down();
}

bool fence_is_down(void)
{
        return down;
}

void fence_guard(int fd)
{
        guarded = fd;
        if (down && fd >= 0)
                shutdown(fd, SHUT_RDWR);
}
