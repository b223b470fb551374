#ifndef UNITS_H
#define UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Sizes and durations as people write them: a whole number and a unit. */

/* A number of bytes, or with K, M, G, T (powers of 1024) after it; "4GB" and "4GiB" are 4G. False for anything else, and for what
 * does not fit. */
bool units_size(const char *text, uint64_t *ret);

/* A duration with ms, s, m (or min), h or d after it; a plain number counts @plain_ms milliseconds. *ret is in milliseconds. */
bool units_duration(const char *text, uint64_t plain_ms, uint64_t *ret);

/* Reads a whole number. Returns the text after it; NULL if there is no number or it does not fit. */
const char *units_number(const char *text, uint64_t *ret);

#endif
