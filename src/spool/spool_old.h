#ifndef SPOOL_OLD_H
#define SPOOL_OLD_H

#include "spool/spool_file.h"

/* Lines in the table "lines", a row each, as earlier versions (formats 1 and 2) wrote them. Nothing is added to it. The calls
 * are as those of spool_file.h. */

/* For a reader, which may open a file of any earlier version. */
enum spool_status spool_old_prepare_read(struct spool_file *f);

/* For the daemon: the table gets the columns of format 2. */
enum spool_status spool_old_adopt(struct spool_file *f);
enum spool_status spool_old_prepare_erase(struct spool_file *f);

void spool_old_finalize(struct spool_file *f);

int spool_old_next(struct spool_file *f, int64_t row, struct spool_record *ret, bool *ret_whole);

/* Adds to f->change. */
enum spool_status spool_old_erase(struct spool_file *f, const struct spool_place *places, size_t len);

#endif
