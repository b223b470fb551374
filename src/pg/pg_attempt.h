#ifndef PG_ATTEMPT_H
#define PG_ATTEMPT_H

#include <uv.h>

#include "model/session.h"

/* One attempt to connect. Runs in a worker thread, since host name look-up, TLS and authentication may
 * block. */

struct pg_attempt {
        uv_work_t work;
        char *url;
        struct session_host last; /* see session_connect_again */
        void *pg;                 /* PGconn; NULL if the URL is invalid */
        enum session_outcome outcome;
        void (*cb)(void *ctx, struct pg_attempt *a);
        void *ctx;
};

/* When the attempt ends, @cb is called from the loop, and @a is freed afterwards. To keep a->pg, @cb sets it
 * to NULL. */
struct pg_attempt *pg_attempt_start(uv_loop_t *loop, const char *url, const struct session_host *last,
                                    void (*cb)(void *ctx, struct pg_attempt *a), void *ctx);

/* The callback is still called; soon, if the attempt has not begun. */
void pg_attempt_cancel(struct pg_attempt *a);

/* Why the attempt failed. */
const char *pg_attempt_error(const struct pg_attempt *a);

#endif
