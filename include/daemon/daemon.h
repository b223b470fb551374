#ifndef DAEMON_H
#define DAEMON_H

#include "base/config.h"

/* Must be called first in the process: holds back the signals that a running daemon handles but that would
 * kill the process before it can (SIGHUP, SIGUSR1). */
void daemon_prepare(void);

/* Runs the daemon until SIGTERM or SIGINT. Returns the exit status: 0 after an orderly stop, 1 if it could
 * not start (the log has one line with the reason). On SIGHUP reads @source again, from which @config was
 * read. */
int daemon_run(struct config *config, const struct config_source *source);

#endif
