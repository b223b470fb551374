/* Checks every two seconds on a database connection of its own, even while nothing is written. pg_conn does
 * the check: it drops a connection to a database that does not fit, and tries again. */
#include "daemon/schema_check.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/fits.h"

enum {
        LOOK_MS = 50,       /* interval until the state of the database is known */
        PATIENCE_MS = 5000, /* without an answer for that long the database counts as unavailable */
        AGAIN_MS = 2000,
};

static void on_closed(struct pg_conn *db)
{
        (void)db;
}

static void set_state(struct schema_check *c, enum schema_state state)
{
        if (state == c->state)
                return;
        c->state = state;
        c->on_change(c->ctx);
}

/* Reports each change once. */
static void set_trouble(struct schema_check *c, const char *trouble)
{
        if (strcmp(trouble, c->trouble) != 0)
                log_event(LOG_LEVEL_WARN, LOG_FIELDS(.message_id = LOG_ID_SCHEMA), "database: %s", trouble);
        snprintf(c->trouble, sizeof(c->trouble), "%s", trouble);
        set_state(c, SCHEMA_WRONG);
}

/* The connection has checked the database, and it fits. */
static void on_ready(void *ctx)
{
        struct schema_check *c = ctx;

        if (c->trouble[0])
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_SCHEMA),
                          "database: tables and privileges are as required again");
        c->trouble[0] = '\0';
        set_state(c, SCHEMA_FITS);
}

static void on_timer(uv_timer_t *timer)
{
        struct schema_check *c = timer->data;
        bool late = uv_now(timer->loop) - c->began_ms >= PATIENCE_MS;

        if (pg_conn_ready(&c->db))
                pg_conn_command(&c->db, FITS_LOOK_SQL);
        else if (c->db.unfit[0]) /* a new connection's first look */
                set_trouble(c, c->db.unfit);
        else if (c->state == SCHEMA_UNKNOWN && (c->db.connect_failures > 0 || late))
                set_state(c, SCHEMA_AWAY);
        uv_timer_set_repeat(timer, c->state == SCHEMA_UNKNOWN ? LOOK_MS : AGAIN_MS);
}

/* A check succeeded; or another command failed, and the check after it succeeded. */
static void on_result(void *ctx, const struct pg_result *res)
{
        (void)ctx;
        (void)res;
}

static void on_copy(void *ctx)
{
        (void)ctx; /* never called: there is no COPY */
}

static void on_lost(void *ctx)
{
        struct schema_check *c = ctx;

        if (c->db.unfit[0])
                set_trouble(c, c->db.unfit);
        else
                set_state(c, SCHEMA_AWAY);
}

void schema_check_open(struct schema_check *c, uv_loop_t *loop, const char *url, void (*on_change)(void *ctx),
                       void *ctx)
{
        static const struct pg_conn_ops ops = {.on_ready = on_ready,
                                               .on_copy_in = on_copy,
                                               .on_writable = on_copy,
                                               .on_result = on_result,
                                               .on_lost = on_lost};

        *c = (struct schema_check){.on_change = on_change, .ctx = ctx, .began_ms = uv_now(loop)};
        pg_conn_open(&c->db, loop, url, "schema", &ops, c);
        uv_timer_init(loop, &c->timer);
        c->timer.data = c;
        uv_timer_start(&c->timer, on_timer, LOOK_MS, LOOK_MS);
}

void schema_check_close(struct schema_check *c)
{
        pg_conn_close(&c->db, on_closed);
        uv_close((uv_handle_t *)&c->timer, NULL);
}
