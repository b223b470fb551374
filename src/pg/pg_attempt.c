#include "pg/pg_attempt.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/memory.h"
#include "model/db.h"

static void on_work(uv_work_t *work)
{
        struct pg_attempt *a = work->data;
        /* The URL may override what precedes dbname. */
        static const char *const keywords[] = {
                "connect_timeout",  "keepalives_idle",  "keepalives_interval",
                "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                "dbname",           "client_encoding",  NULL};
        const char *values[] = {"10", "30", "10", "3", "30000", "boris-ingestd", a->url, "UTF8", NULL};

        if (db_url_valid(a->url))
                a->outcome = session_connect_again(keywords, values, &a->last, &a->pg);
}

static void on_worked(uv_work_t *work, int status)
{
        struct pg_attempt *a = work->data;

        (void)status; /* a cancelled attempt counts as failed */
        a->cb(a->ctx, a);
        PQfinish(a->pg);
        free(a->url);
        free(a);
}

struct pg_attempt *pg_attempt_start(uv_loop_t *loop, const char *url, const struct session_host *last,
                                    void (*cb)(void *ctx, struct pg_attempt *a), void *ctx)
{
        struct pg_attempt *a = must_calloc(1, sizeof(*a));

        a->url = must_strdup(url);
        a->last = *last;
        a->outcome = SESSION_FAILED;
        a->cb = cb;
        a->ctx = ctx;
        a->work.data = a;
        if (uv_queue_work(loop, &a->work, on_work, on_worked) != 0)
                abort(); /* fails only without a work function */
        return a;
}

void pg_attempt_cancel(struct pg_attempt *a)
{
        uv_cancel((uv_req_t *)&a->work);
}

const char *pg_attempt_error(const struct pg_attempt *a)
{
        if (a->outcome == SESSION_SILENT)
                return SESSION_SILENT_TEXT;
        return a->pg ? PQerrorMessage(a->pg) : DB_BAD_URL;
}
