#ifndef FAKE_PG_CONN_H
#define FAKE_PG_CONN_H

#include "pg/pg_conn.h"

/* Database connections without a database: defines pg_conn_* and pg_result_* (pg/pg_conn.h), which replace
 * the real ones in a test linked with it. The test plays the server: it decides when a connection is ready,
 * how each command is answered, and when the connection is lost. The fake fails the test if an owner starts
 * a command that the real one would not allow, or if the test answers a command that was not sent. */

enum { FAKE_COLUMNS = 16, FAKE_ROWS = 32, FAKE_CELL_BYTES = 48 };

/* An answer: fake_done or fake_failed, then, for each row, fake_row and its values from left to right. */
struct pg_result {
        const char *sqlstate; /* NULL: not an error */
        const char *context;
        int64_t affected;
        int rows;
        int columns; /* of the last row */
        struct fake_cell {
                int len; /* -1: NULL */
                char bytes[FAKE_CELL_BYTES];
        } cells[FAKE_ROWS][FAKE_COLUMNS];
};

struct pg_result fake_done(int64_t affected);
struct pg_result fake_failed(const char *sqlstate);
void fake_row(struct pg_result *res);
void fake_null(struct pg_result *res);
void fake_bool(struct pg_result *res, bool value);
void fake_i32(struct pg_result *res, int32_t value);
void fake_i64(struct pg_result *res, int64_t value);
void fake_uuid(struct pg_result *res, const struct uuid *value);
void fake_text(struct pg_result *res, const char *value);

/* The command in flight, NULL for none: the pointer that the owner gave, and whether it is a query with
 * parameters, with the length of the array that is its first one. */
const char *fake_sql(const struct pg_conn *c);
size_t fake_asked(const struct pg_conn *c);

/* What the server does. The connection must be down, or waiting for an answer. */
void fake_ready(struct pg_conn *c);
void fake_copy_in(struct pg_conn *c);
void fake_writable(struct pg_conn *c);
void fake_answer(struct pg_conn *c, const struct pg_result *res);
void fake_lose(struct pg_conn *c);

/* The socket accepts no more data this many times. */
void fake_block_puts(struct pg_conn *c, unsigned times);

/* Bytes of COPY data since the command began. */
size_t fake_copied(const struct pg_conn *c);

#endif
