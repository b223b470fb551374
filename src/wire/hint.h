#ifndef HINT_H
#define HINT_H

#include <stddef.h>

#include "base/slice.h"

/* Returns a static text that says what a line that is not a JSON object at byte @at (from 0) probably is,
 * and what to send instead; NULL if there is no good guess. */
const char *hint_find(struct slice line, size_t at);

#endif
