#ifndef HUMAN_H
#define HUMAN_H

#include <stdint.h>

/* Numbers in readable form. Each function writes to @ret and returns it. */

enum { HUMAN_BYTES = 32 };

/* 1234567 is "1,234,567". */
char *human_count(uint64_t n, char ret[HUMAN_BYTES]);

/* In at most five characters: "0.3", "3", "17", "1,234", "156k", "1.2M", "250G". @n is at least 0. */
char *human_short(double n, char ret[HUMAN_BYTES]);

/* "17 B", "1.5 KB", "256 MB": powers of 1024, as in the configuration. */
char *human_size(double bytes, char ret[HUMAN_BYTES]);

/* Short times as "0.3 ms", "29 ms", "1.5 s", long ones as "2:05", "3:04:05", "12 d 03:04". */
char *human_span(double seconds, char ret[HUMAN_BYTES]);

#endif
