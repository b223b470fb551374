/* open: session, limits, the partition's row. try: the lock. take: the row's holder and position. Then confirm, again and
 * again. Whatever fails closes the session, which frees the lock. */
#include "relay/lease.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "model/pooler.h"
#include "relay/fence.h"

enum { STATEMENT_MS = 10000 };

static const char add_sql[] =
        "INSERT INTO public.boris_ingestd_relay (stream, partition, sequence, stored_ns) "
        "VALUES ($1, $2::int8, 0, 0) ON CONFLICT DO NOTHING";

static const char lock_sql[] =
        "SELECT pg_try_advisory_lock(hashtextextended('boris_ingestd_relay ' || $2::int8 || ' ' || $1, 0))";

static const char read_sql[] = "SELECT sequence, stored_ns, holder IS NULL OR holder = $3::uuid "
                               "FROM public.boris_ingestd_relay WHERE stream = $1 AND partition = $2::int8";

static const char take_sql[] = "UPDATE public.boris_ingestd_relay SET holder = $3::uuid, updated_at = now() "
                               "WHERE stream = $1 AND partition = $2::int8 RETURNING sequence, stored_ns";

static const char move_sql[] =
        "UPDATE public.boris_ingestd_relay SET sequence = $5::int8, stored_ns = $6::int8, updated_at = now() "
        "WHERE stream = $1 AND partition = $2::int8 AND holder = $3::uuid AND sequence = $4::int8 RETURNING sequence";

static const char release_sql[] = "UPDATE public.boris_ingestd_relay SET holder = NULL, updated_at = now() "
                                  "WHERE stream = $1 AND partition = $2::int8 AND holder = $3::uuid";

void lease_init(struct lease *l, const char *url, const char *stream, unsigned partition, unsigned lease_ms,
                const struct uuid *holder)
{
        *l = (struct lease){.url = url,
                            .stream = stream,
                            .partition = partition,
                            .lease_ms = lease_ms,
                            .holder = *holder};
}

static bool fail(struct lease *l)
{
        fence_drop();
        db_close(&l->db);
        l->state = LEASE_CLOSED;
        return false;
}

static void put_key(const struct lease *l, struct db_params *params)
{
        int64_t partition = l->partition;

        db_param_text(params, slice_str(l->stream));
        db_param_i64(params, &partition);
}

/* The statement answered, to a question of @asked_ms. */
static void confirm(struct lease *l, int64_t asked_ms)
{
        l->confirmed_ms = asked_ms;
        if (l->state == LEASE_HELD)
                fence_raise(asked_ms + l->lease_ms);
}

static bool query_row(struct lease *l, const char *sql, const struct db_params *params,
                      struct pg_result **ret)
{
        int64_t asked_ms = clock_monotonic_ms();
        int err = db_query_row(&l->db, sql, params, ret);

        if (err == ERR_NOT_FOUND)
                db_fail(&l->db, err, "table boris_ingestd_relay: somebody else changed the partition's row");
        if (err)
                return fail(l);
        confirm(l, asked_ms);
        return true;
}

/* --- towards the lease --- */

static bool open_session(struct lease *l)
{
        struct db_params params = {0};
        struct pg_result *res;
        char sql[160];

        if (db_open(&l->db, l->url) != 0)
                return fail(l);
        if (l->db.pooled) {
                db_fail(&l->db, ERR_DB, "%s", POOLER_MOVES);
                return fail(l);
        }
        snprintf(sql, sizeof(sql),
                 "SET idle_session_timeout = %lld; SET statement_timeout = %d; SET lock_timeout = %lld",
                 (long long)l->lease_ms, STATEMENT_MS, (long long)l->lease_ms);
        db_limit_silence(&l->db, (unsigned)l->lease_ms);
        put_key(l, &params);
        if (db_run(&l->db, sql) != 0 || db_query(&l->db, add_sql, &params, &res) != 0)
                return fail(l);
        db_result_free(res);
        l->state = LEASE_WANTED;
        return true;
}

/* The lock is ours, and what is done about the relay that had it before. */
static bool on_locked(struct lease *l)
{
        struct db_params params = {0};
        struct pg_result *res;

        put_key(l, &params);
        db_param_uuid(&params, &l->holder);
        if (!query_row(l, read_sql, &params, &res))
                return false;
        l->held_from_ms = clock_monotonic_ms() + (db_bool(res, 0, 2) ? 0 : l->lease_ms);
        l->state = LEASE_WAITING;
        db_result_free(res);
        return true;
}

static bool try_lock(struct lease *l)
{
        struct db_params params = {0};
        struct pg_result *res;
        bool locked;

        put_key(l, &params);
        if (!query_row(l, lock_sql, &params, &res))
                return false;
        locked = db_bool(res, 0, 0);
        db_result_free(res);
        return !locked || on_locked(l);
}

static bool take(struct lease *l)
{
        struct db_params params = {0};
        struct pg_result *res;

        put_key(l, &params);
        db_param_uuid(&params, &l->holder);
        if (!query_row(l, take_sql, &params, &res))
                return false;
        l->position.sequence = (uint64_t)db_i64(res, 0, 0);
        l->position.stored_ns = db_i64(res, 0, 1);
        db_result_free(res);
        l->state = LEASE_HELD;
        confirm(l, l->confirmed_ms);
        return true;
}

static bool ping(struct lease *l)
{
        struct pg_result *res;

        if (!query_row(l, "SELECT true", NULL, &res))
                return false;
        db_result_free(res);
        return true;
}

bool lease_step(struct lease *l)
{
        if (l->state == LEASE_CLOSED && !open_session(l))
                return false;
        if (l->state == LEASE_WANTED && !try_lock(l))
                return false;
        if (l->state == LEASE_WAITING && clock_monotonic_ms() >= l->held_from_ms)
                return take(l);
        return l->state == LEASE_WANTED || ping(l);
}

/* --- with it --- */

bool lease_move(struct lease *l, const struct position *to)
{
        int64_t sequence = (int64_t)to->sequence;
        int64_t before = (int64_t)l->position.sequence;
        struct db_params params = {0};
        struct pg_result *res;

        put_key(l, &params);
        db_param_uuid(&params, &l->holder);
        db_param_i64(&params, &before);
        db_param_i64(&params, &sequence);
        db_param_i64(&params, &to->stored_ns);
        if (!query_row(l, move_sql, &params, &res))
                return false;
        db_result_free(res);
        l->position = *to;
        return true;
}

void lease_close(struct lease *l, bool orderly)
{
        struct db_params params = {0};
        struct pg_result *res;

        fence_drop();
        if (l->state == LEASE_CLOSED)
                return;
        put_key(l, &params);
        db_param_uuid(&params, &l->holder);
        if (orderly && l->state == LEASE_HELD && db_query(&l->db, release_sql, &params, &res) == 0)
                db_result_free(res);
        db_close(&l->db);
        l->state = LEASE_CLOSED;
}
