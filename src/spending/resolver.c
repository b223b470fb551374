/* The happy path is one probe of the cache. A miss parks its row: rows of the same object share one entry
 * ("miss"), and while a query is in flight new misses gather for the next one, so that there is never a query
 * per record. With a grace, what the answer does not know stays as an unknown miss, and is asked for with the
 * others again and again.
 *
 * What can fail: the connection (what was asked is asked again when it is back) and the query itself (a right
 * or a table is missing: nobody's record is to blame, so the connection is given up and the question asked
 * again after its pause). Only an answer refuses a record. */
#include "spending/resolver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/random.h>

#include "base/log.h"
#include "model/ad_account.h"
#include "model/ad_object.h"
#include "pg/pg_array.h"
#include "wire/name_key.h"
#include "wire/refusal.h"

enum { FIRST_BUCKETS = 1024 };

/* The columns of ad_object_lookup_sql's result. */
enum { LOOKUP_KEY = 0, LOOKUP_ACCOUNTS = 1, LOOKUP_OBJECT = 2 };

struct parked_row {
        struct parked_row *next;
        struct row row;
        uint64_t deadline; /* loop time in ms at which its grace is over; 0: not known to be unknown */
};

/* An object that is asked for, and the rows that want it. While its query is in flight it is in no bucket: a
 * row that comes later, behind the hierarchy record that makes its object, needs an answer that was asked for
 * later, too. */
struct miss {
        struct list bucket;
        struct list order;
        XXH128_hash_t key;
        XXH128_hash_t account_key;
        struct parked_row *rows; /* in order of arrival */
        struct parked_row **rows_end;
        uint64_t deadline; /* of the first row; 0: not known to be unknown */
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        uint16_t account_len;
        uint16_t object_len;
        char account[EXTERNAL_ID_MAX + 1]; /* with a NUL for messages; ids may hold no NUL */
        char object[EXTERNAL_ID_MAX + 1];
};

static void start_query(struct resolver *r);

/* --- keys --- */

/* Hashes what a record is resolved by; without the object that is its account's key. */
static XXH128_hash_t make_key(const struct resolver *r, const struct spending_record *rec, bool with_object)
{
        struct name_key k;

        k.len = 0;
        name_key_account(&k, rec->platform, rec->has_connection ? &rec->connection_id : NULL,
                         rec->account_external_id);
        if (with_object)
                name_key_id(&k, rec->external_id);
        return XXH3_128bits_withSeed(k.bytes, k.len, r->key_seed);
}

/* --- misses --- */

static struct list *bucket_of(struct resolver *r, XXH128_hash_t key)
{
        return &r->buckets[(size_t)key.low64 & (r->buckets_len - 1)];
}

static void grow_buckets(struct resolver *r)
{
        struct list *old = r->buckets;
        size_t old_len = r->buckets_len;

        r->buckets_len = old_len ? old_len * 2 : FIRST_BUCKETS;
        r->buckets = malloc(r->buckets_len * sizeof(*r->buckets));
        if (!r->buckets)
                abort();
        for (size_t i = 0; i < r->buckets_len; i++)
                list_init(&r->buckets[i]);
        for (size_t i = 0; i < old_len; i++) {
                while (!list_empty(&old[i])) {
                        struct miss *m = container_of(old[i].next, struct miss, bucket);

                        list_remove(&m->bucket);
                        list_append(bucket_of(r, m->key), &m->bucket);
                }
        }
        free(old);
}

static struct miss *find_miss(struct resolver *r, XXH128_hash_t key)
{
        struct list *bucket = bucket_of(r, key);

        for (struct list *l = bucket->next; l != bucket; l = l->next) {
                struct miss *m = container_of(l, struct miss, bucket);

                if (XXH128_isEqual(m->key, key))
                        return m;
        }
        return NULL;
}

static struct miss *add_miss(struct resolver *r, const struct row *row)
{
        const struct spending_record *rec = &row->rec;
        struct miss *m = malloc(sizeof(*m));

        if (!m)
                abort();
        m->key = row->key_hash;
        m->account_key = make_key(r, rec, false);
        m->rows = NULL;
        m->rows_end = &m->rows;
        m->deadline = 0;
        m->platform = rec->platform;
        m->has_connection = rec->has_connection;
        m->connection_id = rec->connection_id;
        m->account_len = (uint16_t)external_id_decode(rec->account_external_id, m->account);
        m->object_len = (uint16_t)external_id_decode(rec->external_id, m->object);
        if (r->misses_len >= r->buckets_len)
                grow_buckets(r);
        list_append(bucket_of(r, m->key), &m->bucket);
        list_append(&r->waiting, &m->order);
        r->misses_len++;
        memory_add(r->memory, sizeof(*m));
        return m;
}

static void free_miss(struct resolver *r, struct miss *m)
{
        list_remove(&m->bucket);
        list_remove(&m->order);
        r->misses_len--;
        memory_sub(r->memory, sizeof(*m));
        free(m);
}

static void append(struct miss *m, struct parked_row *parked)
{
        parked->next = NULL;
        *m->rows_end = parked;
        m->rows_end = &parked->next;
}

/* What a parked row takes of the room: where there is a grace, all that it will hold while it waits for that.
 */
static size_t parked_size(const struct resolver *r, const struct row *row)
{
        size_t len = row->line.text.len;

        return r->grace_ms > 0 ? sizeof(struct parked_row) + sizeof(struct miss) + len : len;
}

static bool begin_grace(struct resolver *r, struct parked_row *parked);

static void park_take(struct resolver *r, const struct row *row)
{
        struct miss *m = find_miss(r, row->key_hash);
        struct parked_row *parked = malloc(sizeof(*parked));

        if (!parked)
                abort();
        if (!m)
                m = add_miss(r, row);
        parked->row = *row;
        parked->deadline = 0;
        append(m, parked);
        r->parked++;
        r->parked_bytes += parked_size(r, row);
        memory_add(r->memory, sizeof(*parked));
        if (m->deadline && !begin_grace(r, parked)) {
                list_remove(&m->order);
                list_append(&r->waiting, &m->order); /* it is known soon what becomes of the row */
        }
        start_query(r);
}

bool resolver_resolve(struct resolver *r, struct row *row)
{
        const struct uuid *object;

        row->key_hash = make_key(r, &row->rec, true);
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

/* The number, from 1, of the miss's account among those of this query; 0 where there are too many. */
static int32_t account_number(struct resolver *r, XXH128_hash_t *accounts, int32_t *accounts_len,
                              const struct miss *m)
{
        for (int32_t i = *accounts_len; i-- > 0;) {
                if (XXH128_isEqual(accounts[i], m->account_key))
                        return i + 1;
        }
        if (*accounts_len == RESOLVER_QUERY_ACCOUNTS)
                return 0;
        accounts[(*accounts_len)++] = m->account_key;
        pg_array_add(&r->params[0], platform_name(m->platform), strlen(platform_name(m->platform)));
        pg_array_add(&r->params[1], m->has_connection ? m->connection_id.bytes : NULL,
                     sizeof(m->connection_id.bytes));
        pg_array_add(&r->params[2], m->account, m->account_len);
        return *accounts_len;
}

static void begin_params(struct resolver *r)
{
        static const enum pg_oid oids[RESOLVER_PARAMS] = {PG_OID_TEXT, PG_OID_UUID, PG_OID_TEXT, PG_OID_INT4,
                                                          PG_OID_TEXT};

        for (size_t i = 0; i < RESOLVER_PARAMS; i++) {
                r->params[i].len = 0;
                pg_array_begin(&r->params[i], oids[i], 0); /* the length follows, see set_lengths */
        }
}

static void set_lengths(struct resolver *r, int32_t accounts, int32_t keys)
{
        for (size_t i = 0; i < RESOLVER_PARAMS; i++)
                pg_array_set_len(&r->params[i], (size_t)(i < 3 ? accounts : keys));
}

/* Asks for the misses that wait, as many as go into one query. */
static void ask(struct resolver *r)
{
        XXH128_hash_t accounts[RESOLVER_QUERY_ACCOUNTS];
        const char *params[RESOLVER_PARAMS];
        int bytes[RESOLVER_PARAMS];
        int32_t accounts_len = 0;
        int32_t keys = 0;

        assert(list_empty(&r->asked));
        begin_params(r);
        while (!list_empty(&r->waiting) && keys < RESOLVER_QUERY_KEYS) {
                struct miss *m = container_of(r->waiting.next, struct miss, order);
                int32_t account = account_number(r, accounts, &accounts_len, m);

                if (account == 0)
                        break;
                list_remove(&m->bucket); /* rows that come from now on need a later answer */
                pg_array_add_i32(&r->params[3], account);
                pg_array_add(&r->params[4], m->object, m->object_len);
                list_remove(&m->order);
                list_append(&r->asked, &m->order);
                keys++;
        }
        set_lengths(r, accounts_len, keys);
        for (int i = 0; i < RESOLVER_PARAMS; i++) {
                params[i] = r->params[i].data;
                bytes[i] = (int)r->params[i].len;
        }
        pg_conn_query(&r->conn, ad_object_lookup_sql, RESOLVER_PARAMS, params, bytes);
}

static void start_query(struct resolver *r)
{
        if (!pg_conn_ready(&r->conn))
                return;
        if (r->refresh_due) {
                r->refresh_due = false;
                r->refreshing = true;
                pg_conn_query(&r->conn, ad_account_ambiguous_sql, 0, NULL, NULL);
        } else if (!list_empty(&r->waiting)) {
                ask(r);
        }
}

static void on_refresh(uv_timer_t *timer)
{
        struct resolver *r = timer->data;

        if (r->cache.len == 0)
                return;
        r->refresh_due = true;
        start_query(r);
}

/* --- answers --- */

static void describe(const struct miss *m, int64_t accounts, struct reject *ret)
{
        if (accounts == 1)
                refuse_object(ret, "externalId", m->object, m->account);
        else
                refuse_account(ret, accounts, m->platform, m->account,
                               m->has_connection ? &m->connection_id : NULL);
}

/* --- unknown objects --- */

/* What the row holds while it waits for its grace, if no other has the same object. */
static size_t unknown_size(const struct parked_row *parked)
{
        return sizeof(*parked) + sizeof(struct miss) + parked->row.line.block->cap;
}

/* The first of @rows, which is on its way again, or at its end; it is the caller's. */
static struct row unpark(struct resolver *r, struct parked_row **rows)
{
        struct parked_row *parked = *rows;
        struct row row = parked->row;

        *rows = parked->next;
        if (parked->deadline == 0) {
                r->parked--;
                r->parked_bytes -= parked_size(r, &row);
        } else {
                r->unknown_bytes -= unknown_size(parked);
                r->ops->on_unknown(r->ctx, &row.line, false);
        }
        memory_sub(r->memory, sizeof(*parked));
        free(parked);
        return row;
}

/* The row's object is unknown for the first time: the row gets its grace, and a block of its own, so that it
 * does not hold those of others. False: there is no grace, or no room to wait. */
static bool begin_grace(struct resolver *r, struct parked_row *parked)
{
        if (r->grace_ms == 0 || r->unknown_bytes >= r->memory->limit / 2)
                return false;
        row_detach(&parked->row);
        parked->deadline = uv_now(r->retry.loop) + r->grace_ms;
        r->parked--;
        r->parked_bytes -= parked_size(r, &parked->row);
        r->unknown_bytes += unknown_size(parked);
        r->ops->on_unknown(r->ctx, &parked->row.line, true);
        return true;
}

static void on_retry(uv_timer_t *timer);

/* The timer looks more often than it asks, so that no row waits much longer than its grace. */
static void start_retries(struct resolver *r)
{
        uint64_t period = r->grace_ms / 4 + 1;

        if (uv_is_active((uv_handle_t *)&r->retry))
                return;
        if (period > RESOLVER_RETRY_MS)
                period = RESOLVER_RETRY_MS;
        r->retried = uv_now(r->retry.loop);
        uv_timer_start(&r->retry, on_retry, period, period);
}

/* The rows that may wait stay with the miss, the others leave it: returned in their order. */
static struct parked_row *take_overdue(struct resolver *r, struct miss *m)
{
        struct parked_row *rows = m->rows;
        struct parked_row *overdue = NULL;
        struct parked_row **overdue_end = &overdue;
        uint64_t now = uv_now(r->retry.loop);

        m->rows = NULL;
        m->rows_end = &m->rows;
        while (rows) {
                struct parked_row *parked = rows;

                rows = parked->next;
                if (parked->deadline == 0)
                        begin_grace(r, parked);
                if (parked->deadline > now) {
                        append(m, parked);
                        continue;
                }
                parked->next = NULL;
                *overdue_end = parked;
                overdue_end = &parked->next;
        }
        return overdue;
}

/* @accounts: how many match, not one or one without the object. */
static void refuse_rows(struct resolver *r, const struct miss *m, struct parked_row *rows, int64_t accounts)
{
        struct reject reject;

        if (rows)
                describe(m, accounts, &reject);
        while (rows) {
                struct row row = unpark(r, &rows);

                r->ops->settle(r->ctx, &row.line, LINE_REJECTED, &reject);
        }
}

/* Gives the miss's rows up, and frees it. */
static void abandon(struct resolver *r, struct miss *m, line_take_cb *cb, void *ctx)
{
        while (m->rows) {
                struct row row = unpark(r, &m->rows);

                cb(ctx, &row.line);
        }
        free_miss(r, m);
}

static void abandon_all(struct resolver *r, struct list *misses, line_take_cb *cb, void *ctx)
{
        while (!list_empty(misses))
                abandon(r, container_of(misses->next, struct miss, order), cb, ctx);
}

static void on_unknown(struct resolver *r, struct miss *m, int64_t accounts)
{
        /* several accounts are no matter of time */
        if (accounts > 1) {
                refuse_rows(r, m, m->rows, accounts);
                free_miss(r, m);
                return;
        }
        refuse_rows(r, m, take_overdue(r, m), accounts);
        if (!m->rows) {
                free_miss(r, m);
        } else if (r->draining) {
                abandon(r, m, r->ops->on_abandoned, r->ctx);
        } else {
                m->deadline = m->rows->deadline;
                list_remove(&m->order);
                list_append(&r->unknown, &m->order);
                list_append(bucket_of(r, m->key), &m->bucket);
                start_retries(r);
        }
}

/* Asks for all unknown objects again, or for those with a row whose grace is over. */
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

static void on_retry(uv_timer_t *timer)
{
        struct resolver *r = timer->data;

        if (r->unknown_bytes == 0)
                uv_timer_stop(&r->retry);
        else
                retry(r, uv_now(timer->loop) - r->retried >= RESOLVER_RETRY_MS);
}

void resolver_hierarchy_changed(struct resolver *r, bool new_accounts)
{
        if (new_accounts) {
                r->distrusted = true;
                r->refresh_due = true;
        }
        retry(r, true);
}

void resolver_drain(struct resolver *r)
{
        r->draining = true;
        abandon_all(r, &r->unknown, r->ops->on_abandoned, r->ctx);
}

void resolver_evacuate(struct resolver *r, const char *why, line_take_cb *cb, void *ctx)
{
        if (!list_empty(&r->asked))
                pg_conn_drop(&r->conn, why); /* which puts them back among those that wait */
        abandon_all(r, &r->waiting, cb, ctx);
        abandon_all(r, &r->unknown, cb, ctx);
}

/* --- known objects --- */

/* Lets the miss's rows go, and frees it. */
static void on_known(struct resolver *r, struct miss *m, const struct uuid *object)
{
        struct parked_row *rows = m->rows;

        object_cache_put(&r->cache, m->key, object);
        free_miss(r, m);
        while (rows) {
                struct row row = unpark(r, &rows);

                row.rec.ad_object_id = *object;
                r->ops->on_resolved(r->ctx, &row);
        }
}

/* The misses of the query in flight by their number in it. */
static struct miss **number_asked(struct resolver *r, size_t *ret_len)
{
        struct miss **asked = malloc(RESOLVER_QUERY_KEYS * sizeof(struct miss *));

        if (!asked)
                abort();
        *ret_len = 0;
        for (struct list *l = r->asked.next; l != &r->asked; l = l->next)
                asked[(*ret_len)++] = container_of(l, struct miss, order);
        return asked;
}

static void ask_again(struct resolver *r)
{
        for (struct list *l = r->asked.next; l != &r->asked; l = l->next) {
                struct miss *m = container_of(l, struct miss, order);

                list_append(bucket_of(r, m->key), &m->bucket);
        }
        list_splice(&r->asked, &r->waiting);
        list_splice(&r->waiting, &r->asked);
}

static void on_refreshed(struct resolver *r, const struct pg_result *res)
{
        int64_t ambiguous = pg_result_i64(res, 0, 0);

        if (r->ambiguous_known && r->ambiguous != ambiguous) {
                log_info(
                        "other ad accounts than before are reachable through several connections: all objects are "
                        "looked up again");
                object_cache_clear(&r->cache);
        }
        r->ambiguous_known = true;
        r->ambiguous = ambiguous;
        r->distrusted = r->refresh_due; /* which asks for more than this answer knows */
}

static void on_looked_up(struct resolver *r, const struct pg_result *res)
{
        struct miss **asked;
        size_t asked_len;
        int rows = pg_result_rows(res);

        asked = number_asked(r, &asked_len);
        assert((size_t)rows == asked_len);
        for (int i = 0; i < rows; i++) {
                size_t key = (size_t)pg_result_i32(res, i, LOOKUP_KEY) - 1;
                struct uuid object;

                assert(key < asked_len);
                if (pg_result_null(res, i, LOOKUP_OBJECT)) {
                        on_unknown(r, asked[key], pg_result_i64(res, i, LOOKUP_ACCOUNTS));
                        continue;
                }
                object = pg_result_uuid(res, i, LOOKUP_OBJECT);
                on_known(r, asked[key], &object);
        }
        free(asked);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct resolver *r = ctx;

        if (pg_result_sqlstate(res)) {
                struct pg_error error = pg_result_error(res);

                pg_conn_give_up(&r->conn, "looking up ad objects", &error);
                return;
        }
        if (r->refreshing) {
                r->refreshing = false;
                if (r->misses_len == 0) /* else these are to show it */
                        pg_conn_served(&r->conn);
                on_refreshed(r, res);
        } else {
                pg_conn_served(&r->conn);
                on_looked_up(r, res);
        }
        start_query(r);
}

static void on_ready(void *ctx)
{
        struct resolver *r = ctx;

        r->refresh_due = true;
        start_query(r);
}

static void on_lost(void *ctx)
{
        struct resolver *r = ctx;

        r->refreshing = false;
        ask_again(r);
}

void resolver_open(struct resolver *r, uv_loop_t *loop, const char *url, size_t cache_objects,
                   unsigned grace_ms, struct memory *memory, const struct resolver_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready, .on_result = on_result, .on_lost = on_lost, .verify_answers = true};

        *r = (struct resolver){.memory = memory, .ops = ops, .ctx = ctx, .grace_ms = grace_ms};
        list_init(&r->waiting);
        list_init(&r->asked);
        list_init(&r->unknown);
        grow_buckets(r);
        object_cache_init(&r->cache, cache_objects);
        if (getrandom(&r->key_seed, sizeof(r->key_seed), 0) != sizeof(r->key_seed))
                r->key_seed = uv_hrtime();
        uv_timer_init(loop, &r->refresh);
        r->refresh.data = r;
        uv_timer_start(&r->refresh, on_refresh, RESOLVER_REFRESH_MS, RESOLVER_REFRESH_MS);
        uv_timer_init(loop, &r->retry);
        r->retry.data = r;
        pg_conn_open(&r->conn, loop, url, "resolver", &conn_ops, r);
}

static void on_retry_closed(uv_handle_t *handle)
{
        struct resolver *r = handle->data;

        for (size_t i = 0; i < RESOLVER_PARAMS; i++)
                buf_deinit(&r->params[i]);
        object_cache_deinit(&r->cache);
        free(r->buckets);
        r->close_cb(r);
}

static void on_refresh_closed(uv_handle_t *handle)
{
        struct resolver *r = handle->data;

        uv_close((uv_handle_t *)&r->retry, on_retry_closed);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct resolver *r = container_of(conn, struct resolver, conn);

        uv_close((uv_handle_t *)&r->refresh, on_refresh_closed);
}

void resolver_close(struct resolver *r, void (*cb)(struct resolver *))
{
        assert(resolver_empty(r));
        r->close_cb = cb;
        pg_conn_close(&r->conn, on_conn_closed);
}
