#ifndef IDS_H
#define IDS_H

#include <stdbool.h>

#include "base/slice.h"

/* Looks up users and groups of this system by name or number; may block. Returns false if there is none. */

bool ids_find_user(struct slice name, unsigned *ret);
bool ids_find_group(struct slice name, unsigned *ret);

#endif
