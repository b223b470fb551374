#ifndef RELAY_H
#define RELAY_H

#include "base/config.h"

/* The process: a thread for each partition, and a loop for signals and HTTP. Returns the exit status. */
int relay_run(const struct config *config);

/* Looks at the configuration, NATS, the database and the daemon, a line for each; 1 where anything is wrong. */
int relay_check(const struct config *config);

#endif
