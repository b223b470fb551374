#ifndef PG_ATTEMPT_H
#define PG_ATTEMPT_H

#include <uv.h>

#include "model/session.h"

/* One attempt to connect. It runs in a worker thread, since looking up host names, TLS and authentication may all block. */

struct pg_attempt {
        uv_work_t work;
        char *url;
        struct session_host last; /* see session_connect_again */
        void *pg;                 /* PGconn; NULL where the URL is of no use */
        enum session_outcome outcome;
        void (*cb)(void *ctx, struct pg_attempt *a);
        void *ctx;
};

/* @cb is called from the loop when it is over, @a is freed after it. Who wants to keep a->pg sets it to NULL. */
struct pg_attempt *pg_attempt_start(uv_loop_t *loop, const char *url, const struct session_host *last,
                                    void (*cb)(void *ctx, struct pg_attempt *a), void *ctx);

/* Its callback comes all the same, sooner where it has not begun. */
void pg_attempt_cancel(struct pg_attempt *a);

/* Why it failed. */
const char *pg_attempt_error(const struct pg_attempt *a);

#endif
