#ifndef PARTITION_LIST_H
#define PARTITION_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"

enum { PARTITIONS_MAX = 1024, SUBJECT_MAX = 200, PARTITION_LIST_ERROR_BYTES = 256 };

/* Parses "0-3,7": numbers and ranges below PARTITIONS_MAX, each at most once, separated by commas or blanks.
 * Returns how many; 0 if @text is malformed. */
size_t partition_list_read(const char *text, unsigned ret[PARTITIONS_MAX]);

/* True if @text may be published to: at most SUBJECT_MAX bytes, tokens separated by dots, no wildcards, no space or control
 * character. */
bool is_subject(const char *text);

/* Returns true if the settings of [relay] are valid; otherwise false with one line in @ret_error. */
bool relay_settings_check(const struct config *config, char ret_error[PARTITION_LIST_ERROR_BYTES]);

#endif
