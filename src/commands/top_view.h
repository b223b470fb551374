#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/buf.h"

/* What the daemon tells of itself (/status.json), in lines for people. */

struct top_window {
        unsigned columns; /* longer lines are cut; 0 for no bound */
        unsigned rows;    /* what comes below is left out; 0 for no bound */
        bool terminal;    /* drawn over what stands there; else plain lines */
        bool color;
};

/* Appends the view. @status may lack anything; NULL where nothing is known yet. @trouble, NULL for none, says
 * why it is no longer true. */
void top_view_put(const cJSON *status, const char *trouble, const struct top_window *window, struct buf *out);

#endif
