#ifndef SPOOL_RESERVE_H
#define SPOOL_RESERVE_H

#include <stdbool.h>

/* Room on the spool's disk, kept in the file DIR/spool.reserve and given back when the disk is full: SQLite
 * needs some to erase lines, and to open its files. */

/* Whether the disk has no room to speak of. */
bool spool_disk_full(const char *dir);

/* Makes the reserve where it is missing and the disk has plenty of room. */
void spool_reserve_make(const char *dir);

/* Gives the reserve back to the disk. False where there was none. */
bool spool_reserve_give_up(const char *dir);

#endif
