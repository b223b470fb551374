#ifndef PG_PARAMS_H
#define PG_PARAMS_H

#include <assert.h>
#include <stddef.h>

#include "base/buf.h"

/* The parameters of one statement, each in PostgreSQL's binary format. Borrows them. */

enum { PG_PARAMS_MAX = 16 };

struct pg_params {
        int len;
        const char *values[PG_PARAMS_MAX];
        int bytes[PG_PARAMS_MAX];
};

static inline void pg_params_add(struct pg_params *p, const void *value, size_t bytes)
{
        assert(p->len < PG_PARAMS_MAX);
        p->values[p->len] = value;
        p->bytes[p->len++] = (int)bytes;
}

/* Adds @len parameters. */
static inline void pg_params_add_bufs(struct pg_params *p, const struct buf *bufs, int len)
{
        for (int i = 0; i < len; i++)
                pg_params_add(p, bufs[i].data, bufs[i].len);
}

#endif
