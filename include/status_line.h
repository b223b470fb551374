#ifndef STATUS_LINE_H
#define STATUS_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "history.h"
#include "report.h"

/* What the daemon is doing, in one line, as systemctl status shows it. */

struct status_line {
        struct sample last; /* rates are since then; zeroed at first */
};

/* @trouble is what is wrong with the database's tables, "" for nothing. Writes at most @size bytes to @ret.
 */
void status_line_write(struct status_line *l, const struct report *r, const char *trouble, bool draining,
                       char *ret, size_t size);

#endif
