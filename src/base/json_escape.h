#ifndef JSON_ESCAPE_H
#define JSON_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hex.h"

/* Helpers for \u escapes in JSON strings. */

/* Returns the value of the four hexadecimal digits at @p, or -1. */
static inline int32_t hex4(const char *p, const char *end)
{
        int32_t value = 0;

        if (end - p < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                int digit = hex_digit(p[i]);

                if (digit < 0)
                        return -1;
                value = value << 4 | digit;
        }
        return value;
}

static inline bool is_high_surrogate(int32_t u)
{
        return u >= 0xd800 && u <= 0xdbff;
}

static inline bool is_low_surrogate(int32_t u)
{
        return u >= 0xdc00 && u <= 0xdfff;
}

#endif
