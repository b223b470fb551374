#ifndef SPOOL_JOB_H
#define SPOOL_JOB_H

#include "spool/spool.h"

/* The blocking part of the spool. */

/* Executes @j; may run in any thread. */
void spool_job_run(struct spool_job *j);

void spool_job_deinit(struct spool_job *j);

#endif
