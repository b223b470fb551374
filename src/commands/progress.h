#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* How far something has come that is sent, in one line of a terminal. */

struct progress {
        const char *name; /* of what is sent */
        uint64_t lines;   /* settled, as is all below */
        uint64_t bytes;
        uint64_t bytes_total; /* 0: nobody knows */
        uint64_t rejected;
        uint64_t spooled;
        const char *trouble; /* NULL while all is well */

        double seconds;    /* since the beginning, of the last progress_update */
        double lines_rate; /* a second, over some seconds */
        double bytes_rate;
        uint64_t lines_then;
        uint64_t bytes_then;
};

/* Fills in the rates @seconds after the beginning. To be called some times a second. */
void progress_update(struct progress *p, double seconds);

/* Appends the line, without an end; it fits @columns. @color: with colours. */
void progress_put(const struct progress *p, unsigned columns, bool color, struct buf *out);

/* A bar of @columns cells, @share (0 to 1) of which are full. */
void progress_put_bar(double share, unsigned columns, struct buf *out);

#endif
