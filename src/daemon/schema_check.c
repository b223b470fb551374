/* A connection of its own looks, every two seconds, also while nothing is written. pg_conn does the looking: a
 * connection to a database that does not fit is lost, and tried again. */
#include "daemon/schema_check.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/fits.h"

enum {
        LOOK_MS = 50,       /* until it is known whether the database is there */
        PATIENCE_MS = 5000, /* after so long it counts as away */
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

/* Tells it once. */
static void set_trouble(struct schema_check *c, const char *trouble)
{
        if (strcmp(trouble, c->trouble) != 0)
                log_event(LOG_LEVEL_WARN, LOG_FIELDS(.message_id = LOG_ID_SCHEMA), "database: %s", trouble);
        snprintf(c->trouble, sizeof(c->trouble), "%s", trouble);
        set_state(c, SCHEMA_WRONG);
}

/* The connection looked, and all fits. */
static void on_ready(void *ctx)
{
        struct schema_check *c = ctx;

        if (c->trouble[0])
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_SCHEMA),
                          "database: tables and privileges fit again");
        c->trouble[0] = '\0';
        set_state(c, SCHEMA_FITS);
}

static void on_timer(uv_timer_t *timer)
{
        struct schema_check *c = timer->data;
        bool late = uv_now(timer->loop) - c->began_ms >= PATIENCE_MS;

        if (pg_conn_ready(&c->db))
                pg_conn_command(&c->db, FITS_LOOK_SQL);
        else if (c->state == SCHEMA_UNKNOWN && (c->db.connect_failures > 0 || late))
                set_state(c, SCHEMA_AWAY);
        uv_timer_set_repeat(timer, c->state == SCHEMA_UNKNOWN ? LOOK_MS : AGAIN_MS);
}

/* A look that succeeded; or one that failed, after which the connection looked once more, with success. */
static void on_result(void *ctx, const struct pg_result *res)
{
        (void)ctx;
        (void)res;
}

static void on_copy(void *ctx)
{
        (void)ctx; /* there is none */
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
