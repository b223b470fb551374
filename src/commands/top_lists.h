#ifndef TOP_LISTS_H
#define TOP_LISTS_H

#include <cjson/cJSON.h>

#include "commands/screen.h"
#include "commands/top_view.h"

/* The end of the view: what the sections [client NAME] sent, and the clients. One of the two lists is scrolled. */
struct top_listed top_lists_put(struct screen *s, const cJSON *status);

/* True if the status has sections. */
bool top_has_sections(const cJSON *status);

/* How the clients are sorted. */
const char *top_order_name(enum top_order order);

#endif
