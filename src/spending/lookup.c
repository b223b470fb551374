#include "spending/lookup.h"

#include <string.h>

#include "model/ad_object.h"
#include "pg/pg_array.h"
#include "pg/pg_params.h"

/* The columns of ad_object_lookup_sql's result. */
enum { COLUMN_KEY = 0, COLUMN_ACCOUNTS = 1, COLUMN_OBJECT = 2 };

enum { PLACE_PARAMS = 4 }; /* number of parameters that describe places; those after them describe keys */

void lookup_begin(struct lookup *l)
{
        static const enum pg_oid oids[LOOKUP_PARAMS] = {PG_OID_TEXT, PG_OID_UUID, PG_OID_TEXT,
                                                        PG_OID_INT4, PG_OID_INT4, PG_OID_TEXT};

        for (size_t i = 0; i < LOOKUP_PARAMS; i++) {
                l->params[i].len = 0;
                pg_array_begin(&l->params[i], oids[i], 0); /* lookup_send sets the length */
        }
        l->accounts_len = 0;
        l->places_len = 0;
        l->keys_len = 0;
}

void lookup_deinit(struct lookup *l)
{
        for (size_t i = 0; i < LOOKUP_PARAMS; i++)
                buf_deinit(&l->params[i]);
}

static void add_place(struct lookup *l, const struct miss *m, const struct uuid *connection)
{
        pg_array_add_str(&l->params[0], platform_name(m->platform));
        pg_array_add_uuid(&l->params[1], connection);
        pg_array_add(&l->params[2], m->account, m->account_len);
        pg_array_add_i32(&l->params[3], l->accounts_len);
        l->places_len++;
}

static void add_places(struct lookup *l, const struct miss *m)
{
        if (!rules_is_scoped(m->client, m->has_connection)) {
                add_place(l, m, m->has_connection ? &m->connection_id : NULL);
                return;
        }
        for (size_t i = 0; i < m->client->connections_len; i++)
                add_place(l, m, &m->client->connections[i]);
        if (m->client->connections_len == 0)
                add_place(l, m, &(struct uuid){0}); /* which is no connection's */
}

/* Returns the number, from 1, of the miss's account in this query; 0 if there are too many accounts. */
static int32_t account_number(struct lookup *l, const struct miss *m)
{
        for (int32_t i = l->accounts_len; i-- > 0;) {
                if (XXH128_isEqual(l->accounts[i], m->account_key))
                        return i + 1;
        }
        if (l->accounts_len == LOOKUP_ACCOUNTS_MAX || l->places_len >= LOOKUP_PLACES_MAX)
                return 0;
        l->accounts[l->accounts_len++] = m->account_key;
        add_places(l, m);
        return l->accounts_len;
}

bool lookup_add(struct lookup *l, const struct miss *miss)
{
        int32_t account = l->keys_len < LOOKUP_KEYS_MAX ? account_number(l, miss) : 0;

        if (account == 0)
                return false;
        pg_array_add_i32(&l->params[4], account);
        pg_array_add(&l->params[5], miss->object, miss->object_len);
        l->keys_len++;
        return true;
}

void lookup_send(struct lookup *l, struct pg_conn *conn)
{
        struct pg_params params = {0};

        for (int i = 0; i < LOOKUP_PARAMS; i++)
                pg_array_set_len(&l->params[i], i < PLACE_PARAMS ? l->places_len : (size_t)l->keys_len);
        pg_params_add_bufs(&params, l->params, LOOKUP_PARAMS);
        if (l->places_len <= AD_OBJECT_PLACES_PREPARED)
                pg_conn_execute(conn, AD_OBJECT_LOOKUP, &params);
        else
                pg_conn_query(conn, ad_object_lookup_many_sql, &params);
}

bool lookup_answer(const struct pg_result *res, int row, size_t asked, struct lookup_answer *ret)
{
        int32_t number;

        if (pg_result_null(res, row, COLUMN_KEY) || pg_result_null(res, row, COLUMN_ACCOUNTS))
                return false;
        number = pg_result_i32(res, row, COLUMN_KEY);
        if (number < 1 || (size_t)number > asked)
                return false;
        ret->miss = (size_t)number - 1;
        ret->accounts = pg_result_i64(res, row, COLUMN_ACCOUNTS);
        ret->known = !pg_result_null(res, row, COLUMN_OBJECT);
        if (ret->known)
                ret->object = pg_result_uuid(res, row, COLUMN_OBJECT);
        return true;
}
