#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "base/buf.h"

/* The daemon's status (/status.json) as lines for people. */

enum top_order { TOP_BY_LAG, TOP_BY_LINES, TOP_BY_REJECTED, TOP_BY_NUMBER, TOP_BY_CLIENT, TOP_ORDERS };

/* Which list is scrolled: the sections have their place above the clients, or all of it. */
enum top_list { TOP_CLIENTS, TOP_SECTIONS };

struct top_window {
        unsigned columns;     /* longer lines are cut, and end with "…"; 0 for no bound */
        unsigned rows;        /* what comes below is left out, and the last row says so; 0 for no bound */
        enum top_order order; /* of the clients */
        enum top_list list;
        size_t first;  /* item of the list that is seen first, from 0 */
        bool terminal; /* draw over the previous view, not plain lines */
        bool color;
};

/* What is seen of the list. */
struct top_listed {
        size_t first; /* from 1; 0: nothing */
        size_t last;
        size_t len;
        size_t page; /* rows for its items */
};

/* Appends the view. @status may lack anything; NULL if there was none yet. @trouble, or NULL, says why the
 * status is outdated. */
struct top_listed top_view_put(const cJSON *status, const char *trouble, const struct top_window *window,
                               struct buf *out);

#endif
