#ifndef SPOOL_CONTENTS_H
#define SPOOL_CONTENTS_H

#include "spool/spool_file.h"

/* Sets f->contents, f->highest and f->tally to what the open file holds. */
enum spool_status spool_contents_read(struct spool_file *f);

/* True if the file has this table. */
bool spool_contents_has(struct spool_file *f, const char *table);

#endif
