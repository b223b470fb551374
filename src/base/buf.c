#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void buf_deinit(struct buf *b)
{
        free(b->data);
        *b = (struct buf){0};
}

char *buf_reserve(struct buf *b, size_t len)
{
        size_t cap = b->cap ? b->cap : 256;

        while (cap - b->len < len)
                cap *= 2;
        if (cap != b->cap) {
                b->data = must_realloc(b->data, cap);
                b->cap = cap;
        }
        return b->data + b->len;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
        if (len == 0)
                return;
        memcpy(buf_reserve(b, len), data, len);
        b->len += len;
}
