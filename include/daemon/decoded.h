#ifndef DECODED_H
#define DECODED_H

#include <stdbool.h>

#include "hierarchy/hierarchy_batch.h"
#include "spending/row.h"
#include "wire/fields.h"
#include "wire/hello.h"
#include "wire/line.h"
#include "wire/reject.h"

/* A line's record, of any kind. The daemon and `validate` judge lines by this. */
struct decoded {
        enum record_kind kind;
        union {
                struct row spending;
                struct hierarchy_row hierarchy;
                struct hello hello;
        } as;
};

/* A reader for lines of at most @max_line_bytes; to be given to field_reader_deinit. */
struct field_reader decoded_reader(size_t max_line_bytes);

/* False, with the reason, where the line is rejected. */
bool decoded_read(struct field_reader *reader, const struct line *line, struct decoded *ret,
                  struct reject *ret_reject);

/* Whether its sender may write what the record's own words name; where not, *ret_reject says so. Of spending the resolver asks
 * the same, once for many lines. */
bool decoded_permitted(const struct decoded *d, struct reject *ret_reject);

/* The reason why a line is rejected that is longer than @max_line_bytes. */
void decoded_reject_long(struct reject *ret, size_t max_line_bytes);

#endif
