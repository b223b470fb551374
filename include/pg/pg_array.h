#ifndef PG_ARRAY_H
#define PG_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/uuid.h"

/* One-dimensional arrays in PostgreSQL's binary format, the parameters of statements over many rows. */

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

/* Begins an array; then add as many elements as said. A NULL @data is a NULL element. */
void pg_array_begin(struct buf *out, unsigned element_oid, size_t len);
void pg_array_add(struct buf *out, const void *data, size_t len);

/* Sets the number of elements of an array that was begun at the start of @out, when it is known only later.
 */
void pg_array_set_len(struct buf *out, size_t len);

/* Elements of the types that such statements have; a text is decoded on the way. */
void pg_array_add_text(struct buf *out, struct json_string text);
void pg_array_add_str(struct buf *out, const char *text);
void pg_array_add_uuid(struct buf *out, const struct uuid *uuid);
void pg_array_add_i32(struct buf *out, int32_t value);
void pg_array_add_jsonb(struct buf *out, struct slice json);

#endif
