#include "pg/pg_array.h"

#include <string.h>

static const char JSONB_VERSION = 1;
static const uint32_t NULL_LEN = UINT32_MAX;

/* Array header (PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv): number of dimensions, flag for
 * NULLs, element type, then length and lower bound of the one dimension. */
void pg_array_begin(struct buf *out, unsigned element_oid, size_t len)
{
        char *p = buf_reserve(out, 20);

        p = put_be32(p, 1);
        p = put_be32(p, 1);
        p = put_be32(p, element_oid);
        p = put_be32(p, (uint32_t)len);
        put_be32(p, 1);
        out->len += 20;
}

void pg_array_set_len(struct buf *out, size_t len)
{
        put_be32(out->data + 12, (uint32_t)len);
}

void pg_array_add(struct buf *out, const void *data, size_t len)
{
        char *p = buf_reserve(out, 4 + len);

        if (!data) {
                put_be32(p, NULL_LEN);
                out->len += 4;
                return;
        }
        p = put_be32(p, (uint32_t)len);
        memcpy(p, data, len);
        out->len += 4 + len;
}

void pg_array_add_text(struct buf *out, struct json_string text)
{
        char *p;
        size_t len;

        if (!text.escaped) {
                pg_array_add(out, text.raw.ptr, text.raw.len);
                return;
        }
        p = buf_reserve(out, 4 + text.raw.len);
        len = json_string_decode(text, p + 4);
        put_be32(p, (uint32_t)len);
        out->len += 4 + len;
}

void pg_array_add_str(struct buf *out, const char *text)
{
        pg_array_add(out, text, strlen(text));
}

void pg_array_add_uuid(struct buf *out, const struct uuid *uuid)
{
        pg_array_add(out, uuid ? uuid->bytes : NULL, sizeof(uuid->bytes));
}

void pg_array_add_i32(struct buf *out, int32_t value)
{
        char be[4];

        put_be32(be, (uint32_t)value);
        pg_array_add(out, be, sizeof(be));
}

void pg_array_add_jsonb(struct buf *out, struct slice json)
{
        char *p;

        if (!json.ptr) {
                pg_array_add(out, NULL, 0);
                return;
        }
        p = put_be32(buf_reserve(out, 4 + 1 + json.len), (uint32_t)(1 + json.len));
        *p++ = JSONB_VERSION;
        memcpy(p, json.ptr, json.len);
        out->len += 4 + 1 + json.len;
}
