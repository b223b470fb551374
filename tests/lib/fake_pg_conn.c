#include "fake_pg_conn.h"

#include <endian.h>
#include <stdlib.h>

#include "test.h"

/* The state of one connection, in pg_conn.pg. */
struct fake {
        const char *sql; /* in flight */
        size_t asked;
        size_t copied;
        unsigned blocks;
};

static struct fake *fake_of(const struct pg_conn *c)
{
        return c->pg;
}

/* --- what owners call --- */

void pg_conn_open(struct pg_conn *c, uv_loop_t *loop, const char *url, const char *name,
                  const struct pg_conn_ops *ops, void *ctx)
{
        *c = (struct pg_conn){.loop = loop, .url = url, .name = name, .ops = ops, .ctx = ctx};
        c->state = PG_CONN_CONNECTING;
        c->away_us = 1;
        c->pg = calloc(1, sizeof(struct fake));
        assert_non_null(c->pg);
        uv_timer_init(loop, &c->timer);
        c->timer.data = c;
}

static void on_closed(uv_handle_t *handle)
{
        struct pg_conn *c = handle->data;

        c->state = PG_CONN_CLOSED;
        if (c->close_cb)
                c->close_cb(c);
}

void pg_conn_close(struct pg_conn *c, void (*cb)(struct pg_conn *))
{
        assert_true(c->state != PG_CONN_CLOSING && c->state != PG_CONN_CLOSED);
        c->state = PG_CONN_CLOSING;
        c->close_cb = cb;
        free(c->pg);
        c->pg = NULL;
        uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void lose(struct pg_conn *c)
{
        bool was_ready = pg_conn_connected(c);

        c->lost++;
        c->away_us = c->away_us ? c->away_us : 1;
        c->state = PG_CONN_WAITING;
        *fake_of(c) = (struct fake){0};
        if (was_ready)
                c->ops->on_lost(c->ctx);
}

void pg_conn_give_up(struct pg_conn *c, const char *what, const struct pg_error *error)
{
        assert_int_equal(strlen(error->sqlstate), 5);
        assert_non_null(what);
        assert_true(pg_conn_connected(c));
        c->gave_up = true;
        lose(c);
}

void pg_conn_drop(struct pg_conn *c, const char *why)
{
        assert_non_null(why);
        if (pg_conn_connected(c))
                lose(c);
}

void pg_conn_stall(struct pg_conn *c, const char *why)
{
        (void)why;
        c->stalled = true;
        c->away_us = 1;
}

void pg_conn_yield(struct pg_conn *c, const char *why)
{
        pg_conn_drop(c, why);
}

void pg_conn_hurry(struct pg_conn *c)
{
        assert_false(pg_conn_connected(c));
}

void pg_conn_served(struct pg_conn *c)
{
        c->failures = 0;
        c->gave_up = c->stalled = false;
        c->away_us = 0;
}

static void start(struct pg_conn *c, const char *sql, size_t asked)
{
        if (c->state != PG_CONN_READY)
                fail_msg("%s starts a command in state %d: %.60s", c->name, (int)c->state, sql);
        c->state = PG_CONN_BUSY;
        *fake_of(c) = (struct fake){.sql = sql, .asked = asked, .blocks = fake_of(c)->blocks};
}

/* The length of a one-dimensional array in binary format, which is in its fourth word. */
static size_t array_len(const char *data, int bytes)
{
        uint32_t word;

        if (bytes < 20)
                return 0;
        memcpy(&word, data + 12, sizeof(word));
        return be32toh(word);
}

void pg_conn_query(struct pg_conn *c, const char *sql, const struct pg_params *params)
{
        start(c, sql, params ? array_len(params->values[0], params->bytes[0]) : 0);
}

void pg_conn_command(struct pg_conn *c, const char *sql)
{
        start(c, sql, 0);
}

bool pg_conn_put(struct pg_conn *c, const void *data, size_t len)
{
        assert_int_equal(c->state, PG_CONN_COPY);
        assert_true(data && len > 0);
        fake_of(c)->copied += len;
        if (fake_of(c)->blocks == 0)
                return true;
        fake_of(c)->blocks--;
        c->flushing = true;
        return false;
}

void pg_conn_execute(struct pg_conn *c, const char *prepared, const struct pg_params *params)
{
        pg_conn_query(c, prepared, params);
}

void pg_conn_put_last(struct pg_conn *c, const void *data, size_t len)
{
        assert_int_equal(c->state, PG_CONN_COPY);
        assert_true(data && len > 0);
        fake_of(c)->copied += len;
        c->state = PG_CONN_BUSY;
}

/* --- what the server does --- */

const char *fake_sql(const struct pg_conn *c)
{
        return fake_of(c)->sql;
}

size_t fake_asked(const struct pg_conn *c)
{
        return fake_of(c)->asked;
}

size_t fake_copied(const struct pg_conn *c)
{
        return fake_of(c)->copied;
}

void fake_block_puts(struct pg_conn *c, unsigned times)
{
        fake_of(c)->blocks = times;
}

void fake_ready(struct pg_conn *c)
{
        assert_true(c->state == PG_CONN_CONNECTING || c->state == PG_CONN_WAITING);
        c->state = PG_CONN_READY;
        c->connects++;
        if (!c->gave_up)
                c->away_us = 0;
        c->ops->on_ready(c->ctx);
}

void fake_copy_in(struct pg_conn *c)
{
        assert_int_equal(c->state, PG_CONN_BUSY);
        assert_non_null(fake_sql(c));
        c->state = PG_CONN_COPY;
        c->ops->on_copy_in(c->ctx);
}

void fake_writable(struct pg_conn *c)
{
        assert_int_equal(c->state, PG_CONN_COPY);
        assert_true(c->flushing);
        c->flushing = false;
        c->ops->on_writable(c->ctx);
}

void fake_answer(struct pg_conn *c, const struct pg_result *res)
{
        assert_int_equal(c->state, PG_CONN_BUSY);
        assert_non_null(fake_sql(c));
        c->state = PG_CONN_READY;
        fake_of(c)->sql = NULL;
        c->ops->on_result(c->ctx, res);
}

void fake_lose(struct pg_conn *c)
{
        assert_true(pg_conn_connected(c));
        lose(c);
}

/* --- answers --- */

struct pg_result fake_done(int64_t affected)
{
        return (struct pg_result){.context = "", .affected = affected};
}

struct pg_result fake_failed(const char *sqlstate)
{
        return (struct pg_result){.sqlstate = sqlstate, .context = "", .affected = -1};
}

void fake_row(struct pg_result *res)
{
        assert_true(res->rows < FAKE_ROWS);
        res->rows++;
        res->columns = 0;
}

static void put(struct pg_result *res, const void *value, size_t len)
{
        struct fake_cell *cell = &res->cells[res->rows - 1][res->columns++];

        assert_true(res->columns <= FAKE_COLUMNS && len <= FAKE_CELL_BYTES);
        memcpy(cell->bytes, value, len);
        cell->len = (int)len;
}

void fake_null(struct pg_result *res)
{
        put(res, "", 0);
        res->cells[res->rows - 1][res->columns - 1].len = -1;
}

void fake_bool(struct pg_result *res, bool value)
{
        put(res, value ? "\1" : "\0", 1);
}

void fake_i32(struct pg_result *res, int32_t value)
{
        uint32_t word = htobe32((uint32_t)value);

        put(res, &word, sizeof(word));
}

void fake_i64(struct pg_result *res, int64_t value)
{
        uint64_t word = htobe64((uint64_t)value);

        put(res, &word, sizeof(word));
}

void fake_uuid(struct pg_result *res, const struct uuid *value)
{
        put(res, value->bytes, sizeof(value->bytes));
}

void fake_text(struct pg_result *res, const char *value)
{
        put(res, value, strlen(value));
}

/* --- what owners read of an answer --- */

const char *pg_result_sqlstate(const struct pg_result *res)
{
        return res->sqlstate;
}

const char *pg_result_message(const struct pg_result *res)
{
        return res->sqlstate ? "an error of the test's" : "";
}

const char *pg_result_context(const struct pg_result *res)
{
        return res->context;
}

struct pg_error pg_result_error(const struct pg_result *res)
{
        struct pg_error error = PG_ERROR("", "an error of the test's");

        assert_int_equal(strlen(res->sqlstate), 5);
        memcpy(error.sqlstate, res->sqlstate, sizeof(error.sqlstate));
        return error;
}

int64_t pg_result_affected(const struct pg_result *res)
{
        return res->affected;
}

int pg_result_rows(const struct pg_result *res)
{
        return res->rows;
}

/* NULL if there is no such cell, or its value is NULL. */
static const struct fake_cell *cell_at(const struct pg_result *res, int row, int column)
{
        if (row >= res->rows || column >= res->columns || res->cells[row][column].len < 0)
                return NULL;
        return &res->cells[row][column];
}

static void read_fixed(const struct pg_result *res, int row, int column, void *value, size_t len)
{
        const struct fake_cell *cell = cell_at(res, row, column);

        if (cell && (size_t)cell->len == len)
                memcpy(value, cell->bytes, len);
}

bool pg_result_null(const struct pg_result *res, int row, int column)
{
        return !cell_at(res, row, column);
}

bool pg_result_bool(const struct pg_result *res, int row, int column)
{
        char value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return value != 0;
}

int32_t pg_result_i32(const struct pg_result *res, int row, int column)
{
        uint32_t value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return (int32_t)be32toh(value);
}

int64_t pg_result_i64(const struct pg_result *res, int row, int column)
{
        uint64_t value = 0;

        read_fixed(res, row, column, &value, sizeof(value));
        return (int64_t)be64toh(value);
}

struct uuid pg_result_uuid(const struct pg_result *res, int row, int column)
{
        struct uuid uuid = {0};

        read_fixed(res, row, column, uuid.bytes, sizeof(uuid.bytes));
        return uuid;
}

struct slice pg_result_text(const struct pg_result *res, int row, int column)
{
        const struct fake_cell *cell = cell_at(res, row, column);

        return cell ? (struct slice){cell->bytes, (size_t)cell->len} : (struct slice){NULL, 0};
}
