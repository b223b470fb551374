#ifndef SCHEMA_CHECK_H
#define SCHEMA_CHECK_H

#include <stdbool.h>

#include <uv.h>

#include "pg/pg_conn.h"

/* Continuously checks that the database fits (fits.h). It only reports: connections that write check for
 * themselves, and wait while the database does not fit. */

enum schema_state {
        SCHEMA_UNKNOWN, /* nothing is known yet */
        SCHEMA_AWAY,    /* the database does not respond */
        SCHEMA_WRONG,   /* see trouble */
        SCHEMA_FITS,
};

struct schema_check {
        struct pg_conn db;
        uv_timer_t timer; /* for the next check */
        uint64_t began_ms;
        enum schema_state state;
        char trouble[512]; /* what is wrong, and what to do; "" if nothing is */
        void (*on_change)(void *ctx);
        void *ctx;
};

/* Connects to @url, which is borrowed; calls @on_change whenever the state has changed. */
void schema_check_open(struct schema_check *c, uv_loop_t *loop, const char *url, void (*on_change)(void *ctx),
                       void *ctx);

void schema_check_close(struct schema_check *c);

#endif
