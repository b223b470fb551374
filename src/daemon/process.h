#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include "base/config.h"

/* Sets up the daemon's own process: random numbers for pauses, memory that other processes cannot read, file descriptors, and
 * the size of libuv's thread pool. To be called before libuv starts a thread. */
void process_prepare(const struct config *config);

/* Raises the soft limit of file descriptors, often 1024, towards what limits.max_connections needs; logs a warning if the hard
 * limit is too low. */
void process_raise_descriptor_limit(const struct config *config);

#endif
