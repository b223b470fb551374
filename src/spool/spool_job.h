#ifndef SPOOL_JOB_H
#define SPOOL_JOB_H

#include "spool/spool.h"

/* The part of the spool that blocks. */

/* Does what @j asks for, in any one thread. */
void spool_job_run(struct spool_job *j);

void spool_job_deinit(struct spool_job *j);

#endif
