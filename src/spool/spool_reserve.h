#ifndef SPOOL_RESERVE_H
#define SPOOL_RESERVE_H

#include <stdbool.h>

/* Disk space for the spool, reserved in the file DIR/spool.reserve and released when the disk is full:
 * SQLite needs space even to erase lines and open its files. */

/* True if the disk is practically full. */
bool spool_disk_full(const char *dir);

/* Creates the reserve if it is missing and the disk has plenty of space. */
void spool_reserve_make(const char *dir);

/* Releases the reserve. Returns false if there was none. */
bool spool_reserve_give_up(const char *dir);

#endif
