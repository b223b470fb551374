/* A connection of its own asks one question. Where the answer is that all is well it is closed; else it is
 * asked again, every few seconds: somebody may run boris-ingestd migrate. pg_conn connects again by itself.
 */
#include "daemon/schema_check.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/inspect.h"

enum {
        LOOK_MS = 50,       /* until it is known whether the database is there */
        PATIENCE_MS = 5000, /* after so long it counts as away */
        AGAIN_MS = 3000,
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

static void judge(struct schema_check *c, const struct schema_facts *facts)
{
        char trouble[sizeof(c->trouble)] = "";

        if (!facts->complete)
                snprintf(trouble, sizeof(trouble), "tables are missing: run boris-ingestd migrate");
        else if (!facts->on_path)
                snprintf(
                        trouble, sizeof(trouble),
                        "the tables of schema public are not found first: ALTER ROLE ... SET search_path = public");
        else if (facts->missing[0])
                snprintf(trouble, sizeof(trouble), "this role lacks %s: GRANT them", facts->missing);
        else if (strcmp(facts->key, "PRIMARY KEY (id, collected_at)") != 0)
                snprintf(trouble, sizeof(trouble),
                         "spending does not have PRIMARY KEY (id, collected_at): run boris-ingestd migrate");
        if (trouble[0]) {
                set_trouble(c, trouble);
                return;
        }
        if (c->trouble[0])
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_SCHEMA),
                          "database: tables and rights are as they should be now");
        c->trouble[0] = '\0';
        pg_conn_close(&c->db, on_closed);
        uv_timer_stop(&c->timer);
        set_state(c, SCHEMA_FITS);
}

static void on_ready(void *ctx)
{
        struct schema_check *c = ctx;

        pg_conn_query(&c->db, inspect_schema_sql, 0, NULL, NULL);
}

static void on_timer(uv_timer_t *timer)
{
        struct schema_check *c = timer->data;
        bool late = uv_now(timer->loop) - c->began_ms >= PATIENCE_MS;

        if (c->state == SCHEMA_WRONG && pg_conn_ready(&c->db))
                on_ready(c);
        else if (c->state == SCHEMA_UNKNOWN && (c->db.failures > 0 || late))
                set_state(c, SCHEMA_AWAY);
        uv_timer_set_repeat(timer, c->state == SCHEMA_UNKNOWN ? LOOK_MS : AGAIN_MS);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct schema_check *c = ctx;
        struct schema_facts facts;

        if (pg_result_sqlstate(res)) {
                char trouble[sizeof(c->trouble)];

                snprintf(trouble, sizeof(trouble), "the tables cannot be looked at: %s (SQLSTATE %s)",
                         pg_result_message(res), pg_result_sqlstate(res));
                set_trouble(c, trouble);
                return;
        }
        facts = inspect_schema_read(res);
        judge(c, &facts);
}

static void on_copy(void *ctx)
{
        (void)ctx; /* there is none */
}

static void on_lost(void *ctx)
{
        set_state(ctx, SCHEMA_AWAY);
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
        if (c->state != SCHEMA_FITS)
                pg_conn_close(&c->db, on_closed);
        uv_close((uv_handle_t *)&c->timer, NULL);
}
