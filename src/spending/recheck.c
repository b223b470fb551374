#include "spending/recheck.h"

#include <stdlib.h>

#include "base/memory.h"
#include "model/ad_object.h"
#include "model/platform.h"
#include "pg/pg_array.h"
#include "pg/pg_params.h"

/* The columns of ad_object_names_sql's result. */
enum { COLUMN_NUMBER, COLUMN_PLATFORM, COLUMN_CONNECTION, COLUMN_ACCOUNT, COLUMN_OBJECT };

void recheck_init(struct recheck *c, struct object_cache *cache, const struct name_key_secret *secret,
                  unsigned period_ms)
{
        *c = (struct recheck){.cache = cache, .secret = secret, .period_ms = period_ms};
        c->asked = must_malloc(RECHECK_OBJECTS * sizeof(*c->asked));
}

void recheck_deinit(struct recheck *c)
{
        buf_deinit(&c->param);
        free(c->asked);
}

void recheck_set_clients(struct recheck *c, struct rules *const *clients, size_t len)
{
        c->clients = clients;
        c->clients_len = len;
}

/* --- rounds --- */

static void begin_round(struct recheck *c)
{
        c->cap = c->cache->cap;
        c->left = c->cap;
        c->ticks = 0;
        c->due = 0;
        if (c->hand >= c->cap)
                c->hand = 0;
}

static void begin_fast_round(struct recheck *c)
{
        c->fast = true;
        begin_round(c);
}

void recheck_moved(struct recheck *c, bool counted, int64_t moved)
{
        if (!c->moved_known || !counted || moved != c->moved)
                begin_fast_round(c);
        c->moved_known = counted;
        c->moved = moved;
}

void recheck_distrust(struct recheck *c)
{
        c->moved_known = false;
}

/* Number of slots that a tick adds. */
static size_t places_per_tick(const struct recheck *c)
{
        size_t all = c->cap / RECHECK_TICKS + 1;
        size_t slow = (size_t)RECHECK_SLOW_PER_S * recheck_tick_ms(c) / 1000 + 1;

        return c->fast || all < slow ? all : slow;
}

void recheck_tick(struct recheck *c)
{
        c->ticks++;
        if (c->cap != c->cache->cap) {
                begin_round(c); /* growing has moved the cache's entries */
        } else if (c->left == 0 && c->ticks >= RECHECK_TICKS) {
                c->fast = false;
                begin_round(c);
        }
        c->due += places_per_tick(c);
        if (c->due > c->left)
                c->due = c->left;
}

/* --- a question --- */

bool recheck_ask(struct recheck *c, struct pg_conn *conn)
{
        struct pg_params params = {0};

        if (c->cap != c->cache->cap)
                return false; /* until the next tick */
        c->asked_len = 0;
        while (c->due > 0 && c->asked_len == 0) {
                size_t places = object_cache_read(c->cache, &c->hand, c->due, c->asked, RECHECK_OBJECTS,
                                                  &c->asked_len);

                c->due -= places;
                c->left -= places;
        }
        if (c->asked_len == 0)
                return false;
        c->param.len = 0;
        pg_array_begin(&c->param, PG_OID_UUID, c->asked_len);
        for (size_t i = 0; i < c->asked_len; i++)
                pg_array_add_uuid(&c->param, &c->asked[i].object);
        pg_params_add_bufs(&params, &c->param, 1);
        pg_conn_query(conn, ad_object_names_sql, &params);
        return true;
}

/* --- its answer --- */

/* Hashes the names in the row, with or without its connection. */
static bool read_name(const struct recheck *c, const struct pg_result *res, int row,
                      const struct uuid *connection, XXH128_hash_t *ret)
{
        struct slice account = pg_result_text(res, row, COLUMN_ACCOUNT);
        struct slice object = pg_result_text(res, row, COLUMN_OBJECT);
        struct name_key name = {.len = 0};
        enum platform platform;

        if (account.len > EXTERNAL_ID_MAX || object.len > EXTERNAL_ID_MAX ||
            !platform_parse(pg_result_text(res, row, COLUMN_PLATFORM), &platform))
                return false;
        name_key_account(&name, platform, connection, (struct json_string){account, false});
        name_key_id(&name, (struct json_string){object, false});
        *ret = name_key_hash(&name, c->secret);
        return true;
}

/* Whether the client still finds the object without its connection. */
static bool is_in_scope(const struct rules *client, const struct uuid *connection)
{
        for (size_t i = 0; i < client->connections_len; i++) {
                if (uuid_eq(&client->connections[i], connection))
                        return true;
        }
        return client->any_connection;
}

/* Whether the object is still called what the entry's key says, with or without its connection, by some client. */
static bool is_right(const struct recheck *c, const struct pg_result *res, int row, XXH128_hash_t key)
{
        struct uuid connection = pg_result_uuid(res, row, COLUMN_CONNECTION);
        XXH128_hash_t without;
        XXH128_hash_t with;

        if (!read_name(c, res, row, NULL, &without) || !read_name(c, res, row, &connection, &with))
                return false;
        if (XXH128_isEqual(without, key) || XXH128_isEqual(with, key))
                return true;
        for (size_t i = 0; i < c->clients_len; i++) {
                const struct rules *client = c->clients[i];

                if (XXH128_isEqual(rules_mark(client, with), key))
                        return true;
                if (XXH128_isEqual(rules_mark(client, without), key))
                        return is_in_scope(client, &connection);
        }
        return false;
}

/* Marks correct entries as free ones, so that they are not removed. */
static void spare_right(struct recheck *c, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int row = 0; row < rows; row++) {
                int32_t number = pg_result_i32(res, row, COLUMN_NUMBER);

                if (number >= 1 && (size_t)number <= c->asked_len &&
                    is_right(c, res, row, c->asked[number - 1].key))
                        c->asked[number - 1].key = (XXH128_hash_t){0, 0};
        }
}

size_t recheck_answered(struct recheck *c, const struct pg_result *res)
{
        size_t wrong = 0;

        if (res && !pg_result_sqlstate(res))
                spare_right(c, res);
        for (size_t i = 0; i < c->asked_len; i++) {
                if (c->asked[i].key.low64 == 0 && c->asked[i].key.high64 == 0)
                        continue;
                object_cache_remove(c->cache, c->asked[i].key);
                wrong++;
        }
        c->asked_len = 0;
        c->forgotten += wrong;
        return wrong;
}
