#ifndef FENCE_H
#define FENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Keeps a relay from feeding a partition after its lease has expired, even if the process was stopped
 * (SIGSTOP, a paused virtual machine) at the worst moment. Each thread has one fence: a timer whose signal
 * the kernel delivers to that thread before the thread executes any further instruction, and whose handler
 * shuts down the thread's connection to the daemon. So a thread resumed after its lease expired can send
 * nothing. */

/* Call once per process. */
void fence_install(void);

/* For the calling thread. Returns false with errno if the kernel has no timer left. */
bool fence_init(void);
void fence_deinit(void);

/* The lease holds until @until_ms of clock_monotonic_ms(). Then the fence drops, and stays down until raised
 * again. */
void fence_raise(int64_t until_ms);

/* Drops the fence immediately. */
void fence_drop(void);

/* True if the fence has dropped since it was raised. */
bool fence_is_down(void);

/* Sets the connection to shut down; shuts it down immediately if the fence is down. -1: none. */
void fence_guard(int fd);

#endif
