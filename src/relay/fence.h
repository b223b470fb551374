#ifndef FENCE_H
#define FENCE_H

#include <stdbool.h>
#include <stdint.h>

/* What keeps a relay from feeding a partition after its lease is over, even if the process was stopped (SIGSTOP, a paused
 * virtual machine) at the worst moment. Each thread has one fence: a timer whose signal the kernel delivers to that
 * thread before the thread runs any further instruction, and whose handler shuts down the thread's connection to the
 * daemon. A thread that is continued after its lease is over can thus send nothing. */

/* For the whole process, once. */
void fence_install(void);

/* For the calling thread. False with errno where the kernel has no timer left. */
bool fence_init(void);
void fence_deinit(void);

/* The lease holds until @until_ms of clock_monotonic_ms(). The fence comes down then, and stays down until it is raised
 * again. */
void fence_raise(int64_t until_ms);

/* Comes down at once. */
void fence_drop(void);

/* Whether it came down since it was raised. */
bool fence_is_down(void);

/* The connection that it shuts down, at once if it is down already; -1 for none. */
void fence_guard(int fd);

#endif
