#ifndef DECODED_H
#define DECODED_H

#include <stdbool.h>

#include "hierarchy/hierarchy_batch.h"
#include "spending/row.h"
#include "wire/fields.h"
#include "wire/hello.h"
#include "wire/line.h"
#include "wire/reject.h"

/* The record of a line of any kind. The daemon and `validate` both judge lines by this. */
struct decoded {
        enum record_kind kind;
        union {
                struct row spending;
                struct hierarchy_row hierarchy;
                struct hello hello;
        } as;
};

/* Returns a reader for lines of at most @max_line_bytes; free it with field_reader_deinit. */
struct field_reader decoded_reader(size_t max_line_bytes);

/* Returns false, with the reason, if the line is rejected. */
bool decoded_read(struct field_reader *reader, const struct line *line, struct decoded *ret,
                  struct reject *ret_reject);

/* True if the sender may write what the record names; if not, fills *ret_reject. For spending the resolver asks
 * the same, once for many lines. */
bool decoded_permitted(const struct decoded *d, struct reject *ret_reject);

/* Fills in the reject for a line longer than @max_line_bytes. */
void decoded_reject_long(struct reject *ret, size_t max_line_bytes);

#endif
