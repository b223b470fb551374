#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/buf.h"

/* The daemon's status (/status.json) as lines for people. */

struct top_window {
        unsigned columns; /* longer lines are cut; 0: no limit */
        unsigned rows;    /* further lines are left out; 0: no limit */
        bool terminal;    /* draw over the previous view, not plain lines */
        bool color;
};

/* Appends the view. @status may lack anything; NULL if there was none yet. @trouble, or NULL, says why the
 * status is outdated. */
void top_view_put(const cJSON *status, const char *trouble, const struct top_window *window, struct buf *out);

#endif
