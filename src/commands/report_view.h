#ifndef REPORT_VIEW_H
#define REPORT_VIEW_H

#include "commands/table.h"
#include "model/report.h"

/* A query of the report, and how to show its result. Rows whose first column is NULL are totals, for people
 * only. */
struct report_view {
        const struct table_column *columns;
        int columns_len;
        int amount_column;
        int currency_column;
        int fractional_column; /* -1: none */
        int (*read)(struct db *db, const struct report_query *query, struct pg_result **ret);
};

extern const struct report_view report_view_totals;
extern const struct report_view report_view_latest;
extern const struct report_view report_view_explain;

/* Prints the result of @view's query to standard output. */
void report_view_print(const struct report_view *view, const struct pg_result *res, enum table_format format);

#endif
