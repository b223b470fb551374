#ifndef PARTITION_LIST_H
#define PARTITION_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"

enum { PARTITIONS_MAX = 1024, PARTITION_LIST_ERROR_BYTES = 256 };

/* Reads "0-3,7": numbers and ranges below PARTITIONS_MAX, each at most once, separated by commas or spaces. Returns how many, 0
 * where @text is none of that. */
size_t partition_list_read(const char *text, unsigned ret[PARTITIONS_MAX]);

/* Whether the settings of [relay] can be meant. False with one line in @ret_error. */
bool relay_settings_check(const struct config *config, char ret_error[PARTITION_LIST_ERROR_BYTES]);

#endif
