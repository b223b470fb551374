#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/slice.h"

/* Rows of texts, printed for people or programs. */

enum table_format {
        TABLE_TEXT, /* aligned columns */
        TABLE_CSV, /* RFC 4180 with a header and LF; empty for NULL. Texts that a spreadsheet would take for a
                       formula begin with an apostrophe */
        TABLE_JSON, /* an array of objects, one a line */
};

/* False, and *ret unchanged, where @text is none of "table", "csv" and "json". */
bool table_format_parse(struct slice text, enum table_format *ret);

struct table_column {
        const char *name;
        bool number; /* integers: aligned to the right; no string in JSON */
};

/* Zeroed but for the columns before its first use. */
struct table {
        const struct table_column *columns; /* borrowed */
        size_t columns_len;
        char **cells; /* row by row, owned; NULL for NULL */
        size_t rows;
        size_t cap;
};

void table_deinit(struct table *t);

/* Appends a row of copies of @cells, one a column. */
void table_add(struct table *t, const char *const *cells);

/* Bars behind the first @rows rows, each as long as its number in @number_column says in relation to the
 * largest of those that have the same text in @group_column. */
struct table_bars {
        size_t number_column;
        size_t group_column;
        size_t rows;
};

/* Prints all rows. @bars, for TABLE_TEXT only, may be NULL. */
void table_print(const struct table *t, FILE *out, enum table_format format, const struct table_bars *bars);

#endif
