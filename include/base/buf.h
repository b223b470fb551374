#ifndef BUF_H
#define BUF_H

#include <stddef.h>
#include <stdint.h>

/* A growing byte buffer, zeroed before its first use. Aborts if memory runs out, so each user must bound
 * what it appends. */
struct buf {
        char *data;
        size_t len;
        size_t cap;
};

void buf_deinit(struct buf *b);

/* Makes room for @len more bytes and returns where they start; does not change b->len. */
char *buf_reserve(struct buf *b, size_t len);

void buf_put(struct buf *b, const void *data, size_t len);

/* Integers in network byte order, as in PostgreSQL's binary formats. */
static inline char *put_be16(char *p, uint16_t v)
{
        p[0] = (char)(v >> 8);
        p[1] = (char)v;
        return p + 2;
}

static inline char *put_be32(char *p, uint32_t v)
{
        p[0] = (char)(v >> 24);
        p[1] = (char)(v >> 16);
        p[2] = (char)(v >> 8);
        p[3] = (char)v;
        return p + 4;
}

static inline char *put_be64(char *p, uint64_t v)
{
        return put_be32(put_be32(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

#endif
