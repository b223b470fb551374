/* Each second: if there are too few connections to the database, writers make room for look-ups and the hierarchy; and an
 * overdue answer to a look-up is noticed. */
#include "daemon/pipeline_parts.h"
#include "model/connect_fault.h"

enum { CROWDING_MS = 1000 };

/* True if the server has no room for @c. Some lines need a look-up or the hierarchy to be stored; fewer writers only cost
 * speed. */
static bool lacks_connection(struct pg_conn *c)
{
        if (pg_conn_good(c) || !connect_too_many(c->error))
                return false;
        pg_conn_hurry(c);
        return true;
}

static void yield_one_writer(struct pipeline *p)
{
        unsigned connected = 0;
        struct writer *last = NULL;

        for (unsigned i = 0; i < p->config->database.writers; i++) {
                if (!pg_conn_connected(&p->writers[i].conn))
                        continue;
                connected++;
                last = &p->writers[i];
        }
        if (connected > 1)
                pg_conn_yield(&last->conn,
                              "freed for look-ups or hierarchy: the server allows too few connections "
                              "(see boris-ingestd check)");
}

static void on_crowding_timer(uv_timer_t *timer)
{
        struct pipeline *p = timer->data;
        bool lookups = lacks_connection(&p->resolver.conn);
        bool hierarchy = lacks_connection(&p->hierarchy.writer.conn);

        if (lookups || hierarchy)
                yield_one_writer(p);
        resolver_note_silence(&p->resolver);
}

void pipeline_open_crowding(struct pipeline *p)
{
        uv_timer_init(p->loop, &p->crowding);
        p->crowding.data = p;
        uv_timer_start(&p->crowding, on_crowding_timer, CROWDING_MS, CROWDING_MS);
}
