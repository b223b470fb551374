#include "model/array_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rfc3339.h"

void array_text_begin(struct array_text *a)
{
        a->text.len = 0;
        buf_put(&a->text, "{", 1);
}

void array_text_add(struct array_text *a, struct slice text)
{
        if (a->text.len > 1)
                buf_put(&a->text, ",", 1);
        if (!text.ptr) {
                buf_put(&a->text, "NULL", 4);
                return;
        }
        buf_put(&a->text, "\"", 1);
        for (size_t i = 0; i < text.len; i++) {
                if (text.ptr[i] == '"' || text.ptr[i] == '\\')
                        buf_put(&a->text, "\\", 1);
                buf_put(&a->text, &text.ptr[i], 1);
        }
        buf_put(&a->text, "\"", 1);
}

void array_text_add_json(struct array_text *a, struct json_string text)
{
        char *decoded = must_malloc(text.raw.len + 1);

        array_text_add(a, (struct slice){decoded, json_string_decode(text, decoded)});
        free(decoded);
}

void array_text_add_uuid(struct array_text *a, const struct uuid *uuid)
{
        char text[UUID_TEXT_LEN + 1];

        if (uuid)
                uuid_format(uuid, text);
        array_text_add(a, uuid ? slice_str(text) : (struct slice){NULL, 0});
}

void array_text_add_i64(struct array_text *a, int64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRId64, value);
        array_text_add(a, slice_str(text));
}

void array_text_add_time(struct array_text *a, int64_t unix_us)
{
        char text[RFC3339_TEXT_BYTES];

        rfc3339_format(unix_us, text);
        array_text_add(a, slice_str(text));
}

struct slice array_text_end(struct array_text *a)
{
        buf_put(&a->text, "}", 1);
        return (struct slice){a->text.data, a->text.len};
}

void array_text_deinit(struct array_text *a)
{
        buf_deinit(&a->text);
}
