#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* The progress of sending, in one line of a terminal. */

struct progress {
        const char *name; /* of the input */
        uint64_t lines;   /* settled, as all counts below */
        uint64_t bytes;
        uint64_t bytes_total; /* 0: unknown */
        uint64_t rejected;
        uint64_t spooled;
        const char *trouble; /* NULL while there is none */

        double seconds;    /* from the start to the last progress_update */
        double lines_rate; /* per second, averaged over some seconds */
        double bytes_rate;
        uint64_t lines_then;
        uint64_t bytes_then;
};

/* Updates the rates @seconds after the start. Call it several times per second. */
void progress_update(struct progress *p, double seconds);

/* Appends the line, without a line feed; it fits @columns. @color: use colours. */
void progress_put(const struct progress *p, unsigned columns, bool color, struct buf *out);

/* Appends a bar of @columns cells, a @share (0 to 1) of them filled. */
void progress_put_bar(double share, unsigned columns, struct buf *out);

#endif
