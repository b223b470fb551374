#ifndef COPY_FORMAT_H
#define COPY_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "spending/row.h"

/* Spending rows in PostgreSQL's binary formats, with the columns and in the order of spending_copy_sql and
 * spending_merge_sql (model/spending_store.h). */

/* The COPY header (PostgreSQL documentation, COPY, "Binary Format"). */
void copy_format_header(struct buf *out);
void copy_format_row(struct buf *out, const struct spending_record *rec);
void copy_format_trailer(struct buf *out);

/* Returns the row, from 1, that an error's context names (in any language); 0 if it names none. Errors
 * raised while a row is read name its number; checks at the end of the statement (foreign keys) do not. */
uint64_t copy_format_named_row(const char *context);

enum { COPY_FORMAT_ARRAYS = 11 };

/* One binary array per parameter of spending_merge_sql, made of one field of each of @rows; with @chosen,
 * only of the @len rows with these indices. */
void copy_format_arrays(struct buf out[COPY_FORMAT_ARRAYS], const struct row *rows, const uint32_t *chosen,
                        size_t len);

#endif
