#ifndef STATUS_LINE_H
#define STATUS_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "monitor/history.h"
#include "monitor/stats.h"

/* What the daemon is doing, in one line, as systemctl status shows it. */

struct status_line {
        struct sample last; /* rates are since then; zeroed at first */
};

/* @trouble is what is wrong with the database's tables, "" for nothing. Writes at most @size bytes to @ret.
 */
void status_line_write(struct status_line *l, const struct stats *r, const char *trouble, bool draining,
                       char *ret, size_t size);

#endif
