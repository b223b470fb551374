#ifndef IDS_H
#define IDS_H

#include <stdbool.h>

#include "base/slice.h"

/* Users and groups of this system by name or number. Asking may take its time. False where the system knows none. */

bool ids_find_user(struct slice name, unsigned *ret);
bool ids_find_group(struct slice name, unsigned *ret);

#endif
