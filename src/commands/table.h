#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/slice.h"

/* Rows of texts, printed for people or programs. */

enum table_format {
        TABLE_TEXT, /* aligned columns */
        /* RFC 4180 with a header and LF; empty for NULL; an apostrophe precedes texts that a spreadsheet
         * would evaluate as formulas */
        TABLE_CSV,
        TABLE_JSON, /* an array of objects, one per line */
};

/* Returns false, with *ret unchanged, if @text is not "table", "csv" or "json". */
bool table_format_parse(struct slice text, enum table_format *ret);

/* What happens to a column if a table for people is wider than the terminal. */
enum table_fit {
        TABLE_KEEP,   /* nothing */
        TABLE_SHRINK, /* long texts are cut and end in "…" */
        TABLE_BELOW,  /* a text gets lines of its own below its row; one column at most */
        TABLE_DROP_LAST,
        TABLE_DROP_SECOND, /* a column with the same text in every row is first moved above the table */
        TABLE_DROP_FIRST,
};

struct table_column {
        const char *name;
        enum table_fit fit;
        bool number; /* an integer: right-aligned; not a string in JSON */
};

/* Zero it and set the columns before the first use. */
struct table {
        const struct table_column *columns; /* borrowed */
        size_t columns_len;
        char **cells; /* row by row, owned; NULL for NULL */
        size_t rows;
        size_t totals; /* number of last rows that are totals */
        size_t cap;
};

void table_deinit(struct table *t);

/* Appends a row with copies of @cells, one per column. */
void table_add(struct table *t, const char *const *cells);

/* Bars after the rows that are not totals. A bar's length is the number in @number_column relative to the
 * largest among rows with the same text in @group_column. */
struct table_bars {
        size_t number_column;
        size_t group_column;
};

/* Prints the first row as a JSON object. */
void table_print_object(const struct table *t, FILE *out);

/* Prints all rows. TABLE_TEXT uses the width of the terminal ($COLUMNS, else 80, if there is none). @bars,
 * for TABLE_TEXT only, may be NULL. */
void table_print(const struct table *t, FILE *out, enum table_format format, const struct table_bars *bars);

#endif
