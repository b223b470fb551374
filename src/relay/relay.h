#ifndef RELAY_H
#define RELAY_H

#include "base/config.h"

/* Runs the relay: one thread per partition, and a loop for signals and HTTP. Returns the exit status. */
int relay_run(const struct config *config);

/* Checks configuration, NATS, database and daemon, and prints one line per check; returns 1 if any failed. */
int relay_check(const struct config *config);

#endif
