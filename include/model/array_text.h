#ifndef ARRAY_TEXT_H
#define ARRAY_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/uuid.h"

/* PostgreSQL arrays as text (PostgreSQL documentation, 8.15.2), for statements that cast their parameters. Zeroed before
 * the first use. */
struct array_text {
        struct buf text;
};

/* Empties the array. */
void array_text_begin(struct array_text *a);

/* Each appends an element; a slice without ptr, and NULL, is SQL's NULL. */
void array_text_add(struct array_text *a, struct slice text);
void array_text_add_json(struct array_text *a, struct json_string text);
void array_text_add_uuid(struct array_text *a, const struct uuid *uuid);
void array_text_add_i64(struct array_text *a, int64_t value);
void array_text_add_time(struct array_text *a, int64_t unix_us);

/* The whole array; borrows @a. */
struct slice array_text_end(struct array_text *a);

void array_text_deinit(struct array_text *a);

#endif
