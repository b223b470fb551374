#ifndef STATUS_LINE_H
#define STATUS_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "monitor/history.h"
#include "monitor/stats.h"

/* The daemon's status in one line, as shown by systemctl status. */

struct status_line {
        struct sample last; /* the sample that rates are computed against; zeroed at first */
};

/* @trouble: what is wrong with the database's tables, "" for nothing. Writes at most @size bytes to @ret. */
void status_line_write(struct status_line *l, const struct stats *r, const char *trouble, bool draining,
                       char *ret, size_t size);

#endif
