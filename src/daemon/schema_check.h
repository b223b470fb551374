#ifndef SCHEMA_CHECK_H
#define SCHEMA_CHECK_H

#include <stdbool.h>

#include <uv.h>

#include "pg/pg_conn.h"

/* Looks, all the time, whether the database fits (fits.h). It only tells: the connections that write look by
 * themselves, and wait while it does not. */

enum schema_state {
        SCHEMA_UNKNOWN, /* nothing is known yet */
        SCHEMA_AWAY,    /* the database does not answer */
        SCHEMA_WRONG,   /* see trouble */
        SCHEMA_FITS,
};

struct schema_check {
        struct pg_conn db;
        uv_timer_t timer; /* when to look again */
        uint64_t began_ms;
        enum schema_state state;
        char trouble[512]; /* what is wrong, and what to do; "" where nothing is */
        void (*on_change)(void *ctx);
        void *ctx;
};

/* Connects to @url, which is borrowed; @on_change comes each time that the state has changed. */
void schema_check_open(struct schema_check *c, uv_loop_t *loop, const char *url, void (*on_change)(void *ctx),
                       void *ctx);

void schema_check_close(struct schema_check *c);

#endif
