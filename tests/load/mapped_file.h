#ifndef MAPPED_FILE_H
#define MAPPED_FILE_H

#include <stdbool.h>

#include "base/slice.h"

/* Maps a whole file and reads it into memory, so that no way of the benchmark waits for the disk; it stays
 * mapped until the process ends. Returns false, with errno, if the file cannot be read or is empty. */
bool mapped_file(const char *path, struct slice *ret);

/* Takes the next line off @rest, without its end ("\n" or "\r\n"); returns false if there is none. */
bool mapped_line(struct slice *rest, struct slice *ret_line);

#endif
