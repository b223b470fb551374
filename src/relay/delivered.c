#include "relay/delivered.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

bool delivered_read(const char *reply, struct delivered *ret)
{
        const char *tokens[16];
        size_t n = 0;
        size_t first;

        if (!reply || strncmp(reply, "$JS.ACK.", 8) != 0)
                return false;
        for (const char *p = reply; p && n < 16; p = strchr(p, '.'))
                tokens[n++] = p == reply ? p : ++p;
        if (n < 9)
                return false;
        first = n >= 11 ? 7 : 5;
        ret->sequence = strtoull(tokens[first], NULL, 10);
        ret->number = strtoull(tokens[first + 1], NULL, 10);
        ret->stored_ns = strtoull(tokens[first + 2], NULL, 10);
        ret->pending = strtoull(tokens[first + 3], NULL, 10);
        return ret->sequence > 0;
}
