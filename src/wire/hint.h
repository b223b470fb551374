#ifndef HINT_H
#define HINT_H

#include <stddef.h>

#include "base/slice.h"

/* What a line probably is that is no JSON object at byte @at (from 0), and what to send instead; NULL where that
 * is not plain. A fixed text. */
const char *hint_find(struct slice line, size_t at);

#endif
