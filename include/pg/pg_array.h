#ifndef PG_ARRAY_H
#define PG_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/uuid.h"

/* One-dimensional arrays in PostgreSQL's binary format, as parameters of statements over many rows. */

/* Types with fixed object ids, which every PostgreSQL has (src/include/catalog/pg_type.dat). */
enum pg_oid {
        PG_OID_BOOL = 16,
        PG_OID_INT8 = 20,
        PG_OID_INT4 = 23,
        PG_OID_TEXT = 25,
        PG_OID_TIMESTAMPTZ = 1184,
        PG_OID_UUID = 2950,
        PG_OID_JSONB = 3802,
};

/* Maximum of elements of an array where many statements follow one another. With larger arrays a row costs the server up to
 * twice as much: its malloc returns their memory to the system after each statement, and then faults the pages in again
 * (tests/load/README.md). */
enum { PG_ARRAY_LEN_BEST = 700 };

/* Begins an array of @len elements; the caller then adds exactly that many. A NULL @data is a NULL element. */
void pg_array_begin(struct buf *out, unsigned element_oid, size_t len);
void pg_array_add(struct buf *out, const void *data, size_t len);

/* Sets the number of elements of the array at the start of @out, if it was not known before. */
void pg_array_set_len(struct buf *out, size_t len);

/* Appends an element; pg_array_add_text decodes the string's escapes. */
void pg_array_add_text(struct buf *out, struct json_string text);
void pg_array_add_str(struct buf *out, const char *text);
void pg_array_add_uuid(struct buf *out, const struct uuid *uuid);
void pg_array_add_i32(struct buf *out, int32_t value);
void pg_array_add_jsonb(struct buf *out, struct slice json);

#endif
