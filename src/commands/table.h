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

/* What becomes of a column if a table for people is wider than the terminal. */
enum table_fit {
        TABLE_KEEP,   /* nothing */
        TABLE_SHRINK, /* long texts are cut, and end with "…" */
        TABLE_DROP_LAST,
        TABLE_DROP_SECOND, /* a column that says the same in each row is moved above the table first */
        TABLE_DROP_FIRST,
};

struct table_column {
        const char *name;
        enum table_fit fit;
        bool number; /* integers: aligned to the right; no string in JSON */
};

/* Zeroed but for the columns before its first use. */
struct table {
        const struct table_column *columns; /* borrowed */
        size_t columns_len;
        char **cells; /* row by row, owned; NULL for NULL */
        size_t rows;
        size_t totals; /* of the last rows */
        size_t cap;
};

void table_deinit(struct table *t);

/* Appends a row of copies of @cells, one a column. */
void table_add(struct table *t, const char *const *cells);

/* Bars behind the rows that are no totals, each as long as its number in @number_column says in relation to the
 * largest of those that have the same text in @group_column. */
struct table_bars {
        size_t number_column;
        size_t group_column;
};

/* Prints the first row as a JSON object. */
void table_print_object(const struct table *t, FILE *out);

/* Prints all rows; TABLE_TEXT in as many cells a line as the terminal has ($COLUMNS, else 80, where there is none).
 * @bars, for TABLE_TEXT only, may be NULL. */
void table_print(const struct table *t, FILE *out, enum table_format format, const struct table_bars *bars);

#endif
