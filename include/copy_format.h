#ifndef COPY_FORMAT_H
#define COPY_FORMAT_H

#include <stddef.h>

#include "buf.h"
#include "row.h"

/* Spending rows in PostgreSQL's binary formats, with the columns and in the order of spending_copy_sql and
 * spending_merge_sql (model/spending.h). */

/* The COPY header (PostgreSQL documentation, COPY, "Binary Format"). */
void copy_format_header(struct buf *out);
void copy_format_row(struct buf *out, const struct spending_record *rec);
void copy_format_trailer(struct buf *out);

enum { COPY_FORMAT_ARRAYS = 12 };

/* One binary array per parameter of spending_merge_sql, made of the same field of each of @rows. */
void copy_format_arrays(struct buf out[COPY_FORMAT_ARRAYS], const struct row *rows, size_t rows_len);

/* Array parameters for other statements: begin, then as many elements as said. A NULL @data is a NULL
 * element. */
void pg_array_begin(struct buf *out, unsigned element_oid, size_t len);
void pg_array_add(struct buf *out, const void *data, size_t len);

/* Sets the number of elements of an array that was begun at the start of @out, when it is known only later.
 */
void pg_array_set_len(struct buf *out, size_t len);

/* Types that every PostgreSQL has, by their fixed object ids (src/include/catalog/pg_type.dat). */
enum pg_oid {
        PG_OID_BOOL = 16,
        PG_OID_INT8 = 20,
        PG_OID_INT4 = 23,
        PG_OID_TEXT = 25,
        PG_OID_TIMESTAMPTZ = 1184,
        PG_OID_UUID = 2950,
        PG_OID_JSONB = 3802,
};

#endif
