/* A resolver's end: one handle is closed after the other, then what it holds is freed. */
#include "spending/resolver.h"

#include <assert.h>

static void on_retry_closed(uv_handle_t *handle)
{
        struct resolver *r = handle->data;

        lookup_deinit(&r->lookup);
        recheck_deinit(&r->recheck);
        object_cache_deinit(&r->cache);
        misses_deinit(&r->misses);
        if (r->close_cb)
                r->close_cb(r);
}

static void on_tick_closed(uv_handle_t *handle)
{
        struct resolver *r = handle->data;

        uv_close((uv_handle_t *)&r->retry, on_retry_closed);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct resolver *r = container_of(conn, struct resolver, conn);

        uv_close((uv_handle_t *)&r->tick, on_tick_closed);
}

void resolver_close(struct resolver *r, void (*cb)(struct resolver *))
{
        assert(resolver_empty(r));
        r->close_cb = cb;
        pg_conn_close(&r->conn, on_conn_closed);
}
