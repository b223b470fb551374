/* The happy path is one look-up in the cache. A miss parks its row. Rows with the same object share one entry ("miss").
 * While a query is in flight, new misses collect for the next one, so there is never one query per record. With a grace,
 * objects that the answer lacks stay as unknown misses, and are looked up again and again together with others.
 *
 * What can fail:
 * - The connection: its query is sent again on the next one.
 * - The query. Another query without any object tells which is at fault. If the server cannot answer that one either (a
 *   missing privilege or table, for example), the connection is given up, and the query sent again after the pause.
 *   Otherwise some object is at fault (a damaged index page, for example): the misses are doubted. They are looked up
 *   apart from others, in ever smaller queries, and one that fails alone waits for a growing pause. A query that
 *   loses the connection is doubted, too: it may do so every time.
 * Only an answer rejects a record. */
#include "spending/resolver.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "spending/parking.h"
#include "wire/name_key.h"

enum {
        ASIDE_PAUSE_MS = 1000, /* first pause; doubles each time, up to ASIDE_PAUSE_MAX_MS */
        ASIDE_PAUSE_MAX_MS = 60000,
        REFRESH_TICKS = RECHECK_TICKS / 2,
        SILENCE_MS = 3000,
};

static void start_query(struct resolver *r);

/* --- misses --- */

/* Hashes what a record is resolved by, and by whose rules; without the object that is its account's key. */
static XXH128_hash_t make_key(const struct resolver *r, const struct spending_record *rec,
                              const struct rules *client, bool with_object)
{
        struct name_key k;

        k.len = 0;
        name_key_account(&k, rec->platform, rec->has_connection ? &rec->connection_id : NULL,
                         rec->account_external_id);
        if (with_object)
                name_key_id(&k, rec->external_id);
        return rules_mark(client, name_key_hash(&k, &r->secret));
}

static void park_take(struct resolver *r, const struct row *row)
{
        struct miss *m = misses_find(&r->misses, row->key_hash);
        struct line line = row->line;
        struct reject reject;

        if (!m && !row_permitted(row, &reject)) {
                r->ops->settle(r->ctx, &line, LINE_REJECTED, &reject);
                return;
        }
        if (!m) {
                m = misses_add(&r->misses, row, make_key(r, &row->rec, row->line.client, false));
                list_append(&r->waiting, &m->order);
        }
        parking_add_take(r, m, row);
        start_query(r);
}

bool resolver_resolve(struct resolver *r, struct row *row)
{
        const struct uuid *object;

        row->key_hash = make_key(r, &row->rec, row->line.client, true);
        object = r->distrusted ? NULL : object_cache_get(&r->cache, row->key_hash);
        if (object) {
                r->hits++;
                row->rec.ad_object_id = *object;
                return true;
        }
        r->cache_misses++;
        park_take(r, row);
        return false;
}

void resolver_again_take(struct resolver *r, const struct row *row)
{
        object_cache_remove(&r->cache, row->key_hash);
        park_take(r, row);
}

/* --- asking --- */

static void note_question(struct resolver *r, enum resolver_question question)
{
        r->question = question;
        r->question_at = uv_now(r->retry.loop);
}

void resolver_note_silence(struct resolver *r)
{
        if (r->question == RESOLVER_IDLE || r->misses.len == 0 || !pg_conn_good(&r->conn) ||
            uv_now(r->retry.loop) - r->question_at < SILENCE_MS)
                return;
        pg_conn_stall(&r->conn,
                      "no answer to a look-up for 3 s: perhaps another session has a lock on a whole table "
                      "(see pg_locks)");
}

/* Sends a query for the first of @misses, at most @max. */
static void ask(struct resolver *r, struct list *misses, size_t max)
{
        lookup_begin(&r->lookup);
        r->asked_len = 0;
        while (!list_empty(misses) && r->asked_len < max) {
                struct miss *m = container_of(misses->next, struct miss, order);

                if (!lookup_add(&r->lookup, m))
                        break;
                misses_hide(m); /* rows that arrive from now on need a later answer */
                list_remove(&m->order);
                list_append(&r->asked, &m->order);
                r->asked_len++;
        }
        lookup_send(&r->lookup, &r->conn);
}

/* Tests whether the server can answer at all. */
static void probe(struct resolver *r)
{
        lookup_begin(&r->lookup);
        note_question(r, RESOLVER_PROBES);
        lookup_send(&r->lookup, &r->conn);
}

static bool start_question(struct resolver *r, enum resolver_question question)
{
        switch (question) {
        case RESOLVER_ASKS:
                if (list_empty(&r->waiting))
                        return false;
                ask(r, &r->waiting, LOOKUP_KEYS_MAX);
                break;
        case RESOLVER_DOUBTS:
                if (list_empty(&r->doubted))
                        return false;
                ask(r, &r->doubted, r->doubt_max);
                break;
        case RESOLVER_RECHECKS:
                if (!recheck_ask(&r->recheck, &r->conn))
                        return false;
                break;
        default:
                return false;
        }
        r->turn = question;
        note_question(r, question);
        return true;
}

/* Kinds of queries take turns, so that none waits for all of another. */
static void start_query(struct resolver *r)
{
        static const enum resolver_question next[RESOLVER_QUESTIONS] = {
                [RESOLVER_ASKS] = RESOLVER_DOUBTS,
                [RESOLVER_DOUBTS] = RESOLVER_RECHECKS,
                [RESOLVER_RECHECKS] = RESOLVER_ASKS,
        };
        enum resolver_question turn = r->turn;

        if (!pg_conn_ready(&r->conn))
                return;
        if (r->refresh_due) {
                r->refresh_due = false;
                note_question(r, RESOLVER_REFRESHES);
                pg_conn_query(&r->conn, ad_account_watch_sql, NULL);
                return;
        }
        do
                turn = next[turn];
        while (!start_question(r, turn) && turn != r->turn);
}

static void on_tick(uv_timer_t *timer)
{
        struct resolver *r = timer->data;

        if (r->cache.len == 0)
                return;
        r->refresh_due |= ++r->ticks % REFRESH_TICKS == 0;
        recheck_tick(&r->recheck);
        start_query(r);
}

/* --- unknown objects, and objects that wait --- */

static void abandon(struct resolver *r, struct miss *m, line_take_cb *cb, void *ctx)
{
        parking_abandon(r, m, cb, ctx);
        misses_free(&r->misses, m);
}

static void abandon_all(struct resolver *r, struct list *misses, line_take_cb *cb, void *ctx)
{
        while (!list_empty(misses))
                abandon(r, container_of(misses->next, struct miss, order), cb, ctx);
}

static void on_retry(uv_timer_t *timer);

/* The timer fires more often than objects are looked up, so that no row waits much longer than its grace. */
static void start_retries(struct resolver *r)
{
        uint64_t period = r->grace_ms / 4 + 1;

        if (uv_is_active((uv_handle_t *)&r->retry))
                return;
        if (period > RESOLVER_RETRY_MS || r->grace_ms == 0)
                period = RESOLVER_RETRY_MS;
        r->retried = uv_now(r->retry.loop);
        uv_timer_start(&r->retry, on_retry, period, period);
}

static void on_unknown(struct resolver *r, struct miss *m, int64_t accounts)
{
        parking_unknown(r, m, accounts);
        if (!m->rows) {
                misses_free(&r->misses, m);
        } else if (r->draining) {
                abandon(r, m, r->ops->on_abandoned, r->ctx);
        } else {
                m->deadline = m->rows->deadline;
                m->pause_ms = 0;
                list_remove(&m->order);
                list_append(&r->unknown, &m->order);
                misses_show(&r->misses, m);
                start_retries(r);
        }
}

/* Looks all unknown objects up again, or only those with a row whose grace is over. */
static void retry(struct resolver *r, bool all)
{
        struct list unknown;
        uint64_t now = uv_now(r->retry.loop);

        list_init(&unknown);
        list_splice(&unknown, &r->unknown);
        while (!list_empty(&unknown)) {
                struct miss *m = container_of(unknown.next, struct miss, order);

                list_remove(&m->order);
                list_append(all || m->deadline <= now ? &r->waiting : &r->unknown, &m->order);
        }
        if (all)
                r->retried = now;
        start_query(r);
}

/* Looks misses up again whose pause is over, at first each alone. */
static void retry_aside(struct resolver *r)
{
        uint64_t now = uv_now(r->retry.loop);
        struct list *next;

        for (struct list *l = r->aside.next; l != &r->aside; l = next) {
                struct miss *m = container_of(l, struct miss, order);

                next = l->next;
                if (m->retry_at > now)
                        continue;
                list_remove(&m->order);
                list_append(&r->doubted, &m->order);
        }
}

static void on_retry(uv_timer_t *timer)
{
        struct resolver *r = timer->data;

        if (r->unknown_bytes == 0) {
                uv_timer_stop(&r->retry);
                return;
        }
        retry_aside(r);
        retry(r, uv_now(timer->loop) - r->retried >= RESOLVER_RETRY_MS);
}

/* The server cannot answer about this miss. */
static void set_aside(struct resolver *r, struct miss *m)
{
        if (r->draining) {
                abandon(r, m, r->ops->on_abandoned, r->ctx);
                return;
        }
        m->pause_ms = m->pause_ms ? m->pause_ms * 2 : ASIDE_PAUSE_MS;
        if (m->pause_ms > ASIDE_PAUSE_MAX_MS)
                m->pause_ms = ASIDE_PAUSE_MAX_MS;
        m->retry_at = uv_now(r->retry.loop) + m->pause_ms;
        parking_unanswered(r, m);
        list_remove(&m->order);
        list_append(&r->aside, &m->order);
        misses_show(&r->misses, m);
        start_retries(r);
}

void resolver_hierarchy_changed(struct resolver *r, bool new_accounts)
{
        if (new_accounts) {
                r->distrusted = true;
                r->refresh_due = true;
        }
        retry(r, true);
}

void resolver_clients_changed(struct resolver *r, struct rules *const *clients, size_t len)
{
        object_cache_clear(&r->cache);
        recheck_set_clients(&r->recheck, clients, len);
}

void resolver_drain(struct resolver *r)
{
        r->draining = true;
        abandon_all(r, &r->unknown, r->ops->on_abandoned, r->ctx);
        abandon_all(r, &r->aside, r->ops->on_abandoned, r->ctx);
}

void resolver_evacuate(struct resolver *r, const char *why, line_take_cb *cb, void *ctx)
{
        if (!list_empty(&r->asked))
                pg_conn_drop(&r->conn, why); /* this puts them back among those waiting */
        abandon_all(r, &r->waiting, cb, ctx);
        abandon_all(r, &r->doubted, cb, ctx);
        abandon_all(r, &r->unknown, cb, ctx);
        abandon_all(r, &r->aside, cb, ctx);
}

/* --- questions that failed --- */

/* Puts the misses of the query in flight back at the front of @list. */
static void put_back(struct resolver *r, struct list *list)
{
        for (struct list *l = r->asked.next; l != &r->asked; l = l->next)
                misses_show(&r->misses, container_of(l, struct miss, order));
        list_splice(&r->asked, list);
        list_splice(list, &r->asked);
        r->asked_len = 0;
}

/* Marks the misses of the query to be looked up in smaller ones. */
static void doubt_asked(struct resolver *r)
{
        r->doubt_max = r->asked_len > 1 ? r->asked_len / 2 : 1;
        put_back(r, &r->doubted);
}

/* The query's only miss is at fault. */
static void set_asked_aside(struct resolver *r)
{
        uint64_t events = log_limit_pass(&r->aside_log, uv_now(r->retry.loop));

        r->asked_len = 0;
        set_aside(r, container_of(r->asked.next, struct miss, order));
        if (events > 0)
                log_warn("look-up of an ad object failed %" PRIu64
                         " times: %s%s%s%s (its records wait and are "
                         "retried, others proceed)",
                         events, r->error.message, r->error.sqlstate[0] ? " (SQLSTATE " : "",
                         r->error.sqlstate, r->error.sqlstate[0] ? ")" : "");
}

/* The query failed, but the server answers others. */
static void blame_asked(struct resolver *r)
{
        if (r->turn == RESOLVER_DOUBTS && r->asked_len == 1)
                set_asked_aside(r);
        else
                doubt_asked(r);
}

/* The query failed, and the server answers none. */
static void give_up(struct resolver *r)
{
        put_back(r, r->turn == RESOLVER_DOUBTS ? &r->doubted : &r->waiting);
        pg_conn_give_up(&r->conn, "looking up ad objects", &r->error);
}

/* --- answers --- */

/* Releases the miss's rows and frees it. */
static void on_known(struct resolver *r, struct miss *m, const struct uuid *object)
{
        struct parked_row *rows = m->rows;

        if (!m->client || !m->client->retired)
                object_cache_put(&r->cache, m->key, object);
        misses_free(&r->misses, m);
        while (rows) {
                struct row row = parking_take(r, &rows);

                row.rec.ad_object_id = *object;
                r->ops->on_resolved(r->ctx, &row);
        }
}

/* Returns the misses of the query in flight, indexed by their number. */
static struct miss **number_asked(struct resolver *r)
{
        struct miss **asked = must_calloc(r->asked_len + 1, sizeof(struct miss *));
        size_t len = 0;

        for (struct list *l = r->asked.next; l != &r->asked; l = l->next)
                asked[len++] = container_of(l, struct miss, order);
        return asked;
}

static void on_looked_up(struct resolver *r, const struct pg_result *res)
{
        struct miss **asked = number_asked(r);
        size_t asked_len = r->asked_len;
        int rows = pg_result_rows(res);
        struct lookup_answer answer;

        r->asked_len = 0;
        for (int i = 0; i < rows; i++) {
                struct miss *m;

                if (!lookup_answer(res, i, asked_len, &answer))
                        continue;
                m = asked[answer.miss];
                asked[answer.miss] = NULL;
                if (m && answer.known)
                        on_known(r, m, &answer.object);
                else if (m)
                        on_unknown(r, m, answer.accounts);
        }
        for (size_t i = 0; i < asked_len; i++) {
                if (asked[i]) /* the answer lacks it, which should not happen */
                        set_aside(r, asked[i]);
        }
        free(asked);
}

static void on_refreshed(struct resolver *r, const struct pg_result *res)
{
        int64_t ambiguous = pg_result_i64(res, 0, 0);
        bool counted = !pg_result_null(res, 0, 1);

        if (r->ambiguous_known && r->ambiguous != ambiguous) {
                log_info(
                        "the set of ad accounts shared by several platform connections changed: object cache cleared");
                object_cache_clear(&r->cache);
        }
        r->ambiguous_known = true;
        r->ambiguous = ambiguous;
        r->distrusted = r->refresh_due; /* a later refresh is due that will tell more */
        recheck_moved(&r->recheck, counted, counted ? pg_result_i64(res, 0, 1) : 0);
}

static void on_rechecked(struct resolver *r, const struct pg_result *res)
{
        size_t wrong = recheck_answered(&r->recheck, res);

        if (wrong > 0)
                log_info("%zu ad objects were renamed, moved or deleted: they are looked up again", wrong);
}

static void on_answer(struct resolver *r, enum resolver_question question, const struct pg_result *res)
{
        if (r->misses.len == 0 || question == RESOLVER_ASKS || question == RESOLVER_DOUBTS ||
            question == RESOLVER_PROBES)
                pg_conn_served(&r->conn); /* else wait until a look-up succeeds */
        switch (question) {
        case RESOLVER_REFRESHES:
                on_refreshed(r, res);
                break;
        case RESOLVER_DOUBTS:
                r->doubt_max = r->doubt_max < LOOKUP_KEYS_MAX / 2 ? r->doubt_max * 2 : LOOKUP_KEYS_MAX;
                on_looked_up(r, res);
                break;
        case RESOLVER_ASKS:
                on_looked_up(r, res);
                break;
        case RESOLVER_PROBES:
                blame_asked(r);
                break;
        default:
                on_rechecked(r, res);
        }
}

static void on_error(struct resolver *r, enum resolver_question question, const struct pg_result *res)
{
        struct pg_error error = pg_result_error(res);

        switch (question) {
        case RESOLVER_ASKS:
        case RESOLVER_DOUBTS:
                r->error = error;
                if (question == RESOLVER_DOUBTS && r->asked_len > 1)
                        doubt_asked(r);
                else
                        probe(r);
                break;
        case RESOLVER_RECHECKS:
                on_rechecked(r, res);
                break;
        case RESOLVER_PROBES:
                give_up(r);
                break;
        default:
                pg_conn_give_up(&r->conn, "looking up ad accounts", &error);
        }
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct resolver *r = ctx;
        enum resolver_question question = r->question;

        r->question = RESOLVER_IDLE;
        if (pg_result_sqlstate(res))
                on_error(r, question, res);
        else
                on_answer(r, question, res);
        start_query(r);
}

static void on_ready(void *ctx)
{
        struct resolver *r = ctx;

        r->refresh_due = true;
        recheck_distrust(&r->recheck);
        start_query(r);
}

static void on_lost(void *ctx)
{
        struct resolver *r = ctx;
        enum resolver_question question = r->question;

        r->question = RESOLVER_IDLE;
        if (question == RESOLVER_ASKS || question == RESOLVER_DOUBTS) {
                r->error = (struct pg_error){.message = "the connection was lost"};
                blame_asked(r);
        } else if (question == RESOLVER_PROBES) {
                put_back(r, r->turn == RESOLVER_DOUBTS ? &r->doubted : &r->waiting);
        } else if (question == RESOLVER_RECHECKS) {
                recheck_answered(&r->recheck, NULL);
        }
}

/* --- the beginning --- */

void resolver_open(struct resolver *r, uv_loop_t *loop, const struct resolver_config *config,
                   struct memory *memory, const struct resolver_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {.on_ready = on_ready,
                                                    .on_result = on_result,
                                                    .on_lost = on_lost,
                                                    .prepare_sql = {ad_object_lookup_prepare_sql}};

        *r = (struct resolver){.memory = memory,
                               .ops = ops,
                               .ctx = ctx,
                               .grace_ms = config->grace_ms,
                               .turn = RESOLVER_ASKS,
                               .doubt_max = LOOKUP_KEYS_MAX};
        list_init(&r->waiting);
        list_init(&r->asked);
        list_init(&r->doubted);
        list_init(&r->unknown);
        list_init(&r->aside);
        misses_init(&r->misses, memory);
        object_cache_init(&r->cache, config->cache_objects);
        name_key_secret_draw(&r->secret);
        recheck_init(&r->recheck, &r->cache, &r->secret, config->recheck_ms);
        uv_timer_init(loop, &r->tick);
        r->tick.data = r;
        uv_timer_start(&r->tick, on_tick, recheck_tick_ms(&r->recheck), recheck_tick_ms(&r->recheck));
        uv_timer_init(loop, &r->retry);
        r->retry.data = r;
        pg_conn_open(&r->conn, loop, config->url, "resolver", &conn_ops, r);
}
