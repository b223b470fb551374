/* The happy path is one probe of the cache. A miss parks its row: rows of the same object share one entry
 * ("miss"), and while a query is in flight new misses gather for the next one, so that there is never a query
 * per record.
 *
 * What can fail: the connection (what was asked is asked again when it is back) and the query itself (a right
 * or a table is missing: nobody's record is to blame, so the connection is given up and the question asked
 * again after its pause). Only an answer refuses a record. */
#include "resolver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/random.h>

#include "copy_format.h"
#include "log.h"
#include "model/ad_account.h"
#include "model/ad_object.h"

enum { FIRST_BUCKETS = 1024 };

/* The columns of ad_object_lookup_sql's result. */
enum { LOOKUP_KEY = 0, LOOKUP_ACCOUNTS = 1, LOOKUP_OBJECT = 2 };

struct parked_row {
        struct parked_row *next;
        struct row row;
};

/* An object that is asked for, and the rows that want it. */
struct miss {
        struct list bucket;
        struct list order;
        XXH128_hash_t key;
        XXH128_hash_t account_key;
        struct parked_row *rows;
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        uint16_t account_len;
        uint16_t object_len;
        char account[RECORD_TEXT_MAX + 1]; /* with a NUL for messages; ids may hold no NUL */
        char object[RECORD_TEXT_MAX + 1];
};

static void start_query(struct resolver *r);

/* --- keys --- */

static uint16_t decode_text(struct json_string s, char out[RECORD_TEXT_MAX + 1])
{
        char buf[6 * RECORD_TEXT_MAX];
        size_t len = json_string_decode(s, s.escaped ? buf : out);

        if (s.escaped)
                memcpy(out, buf, len);
        out[len] = '\0';
        return (uint16_t)len;
}

/* Appends @s, decoded, behind its length. */
static char *put_text(char *p, struct json_string s)
{
        char text[RECORD_TEXT_MAX + 1];
        uint16_t len;

        if (!s.escaped) {
                p[0] = (char)s.raw.len;
                memcpy(p + 1, s.raw.ptr, s.raw.len);
                return p + 1 + s.raw.len;
        }
        len = decode_text(s, text);
        p[0] = (char)len;
        memcpy(p + 1, text, len);
        return p + 1 + len;
}

/* Hashes what a record is resolved by; without the object that is its account's key. */
static XXH128_hash_t make_key(const struct resolver *r, const struct spending_record *rec, bool with_object)
{
        char buf[2 + sizeof(struct uuid) + 2 * (1 + RECORD_TEXT_MAX)];
        char *p = buf;

        *p++ = (char)rec->platform;
        *p++ = (char)rec->has_connection;
        if (rec->has_connection) {
                memcpy(p, rec->connection_id.bytes, sizeof(rec->connection_id.bytes));
                p += sizeof(rec->connection_id.bytes);
        }
        p = put_text(p, rec->account_external_id);
        if (with_object)
                p = put_text(p, rec->external_id);
        return XXH3_128bits_withSeed(buf, (size_t)(p - buf), r->key_seed);
}

static bool same_key(XXH128_hash_t a, XXH128_hash_t b)
{
        return a.low64 == b.low64 && a.high64 == b.high64;
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

                if (same_key(m->key, key))
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
        m->platform = rec->platform;
        m->has_connection = rec->has_connection;
        m->connection_id = rec->connection_id;
        m->account_len = decode_text(rec->account_external_id, m->account);
        m->object_len = decode_text(rec->external_id, m->object);
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

static void park_take(struct resolver *r, const struct row *row)
{
        struct miss *m = find_miss(r, row->key_hash);
        struct parked_row *parked = malloc(sizeof(*parked));

        if (!parked)
                abort();
        if (!m)
                m = add_miss(r, row);
        parked->row = *row;
        parked->next = m->rows;
        m->rows = parked;
        r->parked++;
        memory_add(r->memory, sizeof(*parked));
        start_query(r);
}

bool resolver_resolve(struct resolver *r, struct row *row)
{
        const struct uuid *object;

        row->key_hash = make_key(r, &row->rec, true);
        object = object_cache_get(&r->cache, row->key_hash);
        if (object) {
                row->rec.ad_object_id = *object;
                return true;
        }
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
                if (same_key(accounts[i], m->account_key))
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
                char number[4];

                if (account == 0)
                        break;
                put_be32(number, (uint32_t)account);
                pg_array_add(&r->params[3], number, sizeof(number));
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
        char connection[UUID_TEXT_LEN + 1] = "";

        if (m->has_connection)
                uuid_format(&m->connection_id, connection);
        if (accounts == 0)
                reject_set(ret, REJECT_UNKNOWN_ACCOUNT, "accountExternalId", "no %s ad account %s%s%s",
                           platform_name(m->platform), m->account, connection[0] ? " on connection " : "",
                           connection);
        else if (accounts > 1)
                reject_set(
                        ret, REJECT_AMBIGUOUS_ACCOUNT, "connectionId",
                        "%s ad account %s is reachable through %lld connections: say which one with connectionId",
                        platform_name(m->platform), m->account, (long long)accounts);
        else
                reject_set(ret, REJECT_UNKNOWN_AD_OBJECT, "externalId", "no ad object %s in account %s",
                           m->object, m->account);
}

/* Lets the miss's rows go: to on_resolved with @object, else refused. Frees the miss. */
static void answer(struct resolver *r, struct miss *m, const struct uuid *object, int64_t accounts)
{
        struct parked_row *rows = m->rows;
        struct parked_row *reversed = NULL;
        struct reject reject;

        if (object)
                object_cache_put(&r->cache, m->key, object);
        else
                describe(m, accounts, &reject);
        free_miss(r, m);
        while (rows) { /* they were put in front of each other */
                struct parked_row *next = rows->next;

                rows->next = reversed;
                reversed = rows;
                rows = next;
        }
        while (reversed) {
                struct parked_row *parked = reversed;

                reversed = parked->next;
                r->parked--;
                memory_sub(r->memory, sizeof(*parked));
                if (object) {
                        parked->row.rec.ad_object_id = *object;
                        r->ops->on_resolved(r->ctx, &parked->row);
                } else {
                        r->ops->settle(r->ctx, &parked->row, LINE_REJECTED, &reject);
                }
                free(parked);
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
                bool found = !pg_result_null(res, i, LOOKUP_OBJECT);

                assert(key < asked_len);
                if (found)
                        object = pg_result_uuid(res, i, LOOKUP_OBJECT);
                answer(r, asked[key], found ? &object : NULL, pg_result_i64(res, i, LOOKUP_ACCOUNTS));
        }
        free(asked);
}

static void on_result(void *ctx, const struct pg_result *res)
{
        struct resolver *r = ctx;

        if (pg_result_sqlstate(res)) {
                pg_conn_give_up(&r->conn, "looking up ad objects", pg_result_sqlstate(res),
                                pg_result_message(res));
                return;
        }
        if (r->refreshing) {
                r->refreshing = false;
                on_refreshed(r, res);
        } else {
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
                   struct memory *memory, const struct resolver_ops *ops, void *ctx)
{
        static const struct pg_conn_ops conn_ops = {
                .on_ready = on_ready, .on_result = on_result, .on_lost = on_lost};

        *r = (struct resolver){.memory = memory, .ops = ops, .ctx = ctx};
        list_init(&r->waiting);
        list_init(&r->asked);
        grow_buckets(r);
        object_cache_init(&r->cache, cache_objects);
        if (getrandom(&r->key_seed, sizeof(r->key_seed), 0) != sizeof(r->key_seed))
                r->key_seed = uv_hrtime();
        uv_timer_init(loop, &r->refresh);
        r->refresh.data = r;
        uv_timer_start(&r->refresh, on_refresh, RESOLVER_REFRESH_MS, RESOLVER_REFRESH_MS);
        pg_conn_open(&r->conn, loop, url, "resolver", &conn_ops, r);
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct resolver *r = handle->data;

        for (size_t i = 0; i < RESOLVER_PARAMS; i++)
                buf_deinit(&r->params[i]);
        object_cache_deinit(&r->cache);
        free(r->buckets);
        r->close_cb(r);
}

static void on_conn_closed(struct pg_conn *conn)
{
        struct resolver *r = container_of(conn, struct resolver, conn);

        uv_close((uv_handle_t *)&r->refresh, on_timer_closed);
}

void resolver_close(struct resolver *r, void (*cb)(struct resolver *))
{
        assert(resolver_empty(r));
        r->close_cb = cb;
        pg_conn_close(&r->conn, on_conn_closed);
}
