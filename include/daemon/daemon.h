#ifndef DAEMON_H
#define DAEMON_H

#include "base/config.h"

/* To be called as the first thing in the process: signals that a running daemon handles, and that would kill
 * it before it can (SIGHUP, SIGUSR1), wait from now on. */
void daemon_prepare(void);

/* Runs the daemon until SIGTERM or SIGINT. Returns the process's exit status: 0 after an orderly end, 1 where
 * it could not start (one line in the log says why). On SIGHUP it reads @source again, which @config is from.
 */
int daemon_run(struct config *config, const struct config_source *source);

#endif
