#include "commands/report_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct table_column total_columns[REPORT_TOTAL_COLUMNS] = {
        [REPORT_TOTAL_BUCKET] = {"bucket", TABLE_KEEP, false},
        [REPORT_TOTAL_PLATFORM] = {"platform", TABLE_DROP_SECOND, false},
        [REPORT_TOTAL_ACCOUNT] = {"account", TABLE_SHRINK, false},
        [REPORT_TOTAL_OBJECT] = {"object", TABLE_SHRINK, false},
        [REPORT_TOTAL_TYPE] = {"type", TABLE_DROP_SECOND, false},
        [REPORT_TOTAL_NAME] = {"name", TABLE_SHRINK, false},
        [REPORT_TOTAL_PART] = {"part", TABLE_KEEP, false},
        [REPORT_TOTAL_CURRENCY] = {"currency", TABLE_KEEP, false},
        [REPORT_TOTAL_AMOUNT] = {"amount_cents", TABLE_KEEP, true},
        [REPORT_TOTAL_IMPRESSIONS] = {"impressions", TABLE_DROP_LAST, true},
        [REPORT_TOTAL_CLICKS] = {"clicks", TABLE_DROP_LAST, true},
        [REPORT_TOTAL_CONVERSIONS] = {"conversions", TABLE_DROP_LAST, true},
        [REPORT_TOTAL_RECORDS] = {"records", TABLE_DROP_FIRST, true},
        [REPORT_TOTAL_LEVELS] = {"levels", TABLE_DROP_FIRST, false},
        [REPORT_TOTAL_BREAKDOWNS] = {"breakdown", TABLE_SHRINK, false},
        [REPORT_TOTAL_FRACTIONAL] = {"fractional_conversions", TABLE_DROP_FIRST, true},
};

const struct report_view report_view_totals = {total_columns,           REPORT_TOTAL_COLUMNS,
                                               REPORT_TOTAL_AMOUNT,     REPORT_TOTAL_CURRENCY,
                                               REPORT_TOTAL_FRACTIONAL, report_totals};

static const struct table_column latest_columns[REPORT_LATEST_COLUMNS] = {
        [REPORT_LATEST_PERIOD_START] = {"period_start", TABLE_SHRINK, false},
        [REPORT_LATEST_PERIOD_END] = {"period_end", TABLE_SHRINK, false},
        [REPORT_LATEST_COLLECTED_AT] = {"collected_at", TABLE_SHRINK, false},
        [REPORT_LATEST_PLATFORM] = {"platform", TABLE_DROP_FIRST, false},
        [REPORT_LATEST_ACCOUNT] = {"account", TABLE_DROP_SECOND, false},
        [REPORT_LATEST_OBJECT] = {"object", TABLE_SHRINK, false},
        [REPORT_LATEST_TYPE] = {"type", TABLE_DROP_SECOND, false},
        [REPORT_LATEST_NAME] = {"name", TABLE_DROP_SECOND, false},
        [REPORT_LATEST_CURRENCY] = {"currency", TABLE_KEEP, false},
        [REPORT_LATEST_AMOUNT] = {"amount_cents", TABLE_KEEP, true},
        [REPORT_LATEST_IMPRESSIONS] = {"impressions", TABLE_DROP_LAST, true},
        [REPORT_LATEST_CLICKS] = {"clicks", TABLE_DROP_LAST, true},
        [REPORT_LATEST_CONVERSIONS] = {"conversions", TABLE_DROP_LAST, true},
        [REPORT_LATEST_RECORDS] = {"records", TABLE_DROP_FIRST, true},
        [REPORT_LATEST_BREAKDOWN] = {"breakdown", TABLE_SHRINK, false},
        [REPORT_LATEST_FRACTIONAL] = {"fractional_conversions", TABLE_DROP_FIRST, true},
};

const struct report_view report_view_latest = {latest_columns,           REPORT_LATEST_COLUMNS,
                                               REPORT_LATEST_AMOUNT,     REPORT_LATEST_CURRENCY,
                                               REPORT_LATEST_FRACTIONAL, report_latest};

static const struct table_column explain_columns[REPORT_EXPLAIN_COLUMNS] = {
        [REPORT_EXPLAIN_PERIOD_START] = {"period_start", TABLE_SHRINK, false},
        [REPORT_EXPLAIN_PERIOD_END] = {"period_end", TABLE_SHRINK, false},
        [REPORT_EXPLAIN_COLLECTED_AT] = {"collected_at", TABLE_SHRINK, false},
        [REPORT_EXPLAIN_CURRENCY] = {"currency", TABLE_DROP_FIRST, false},
        [REPORT_EXPLAIN_AMOUNT] = {"amount_cents", TABLE_KEEP, true},
        [REPORT_EXPLAIN_BREAKDOWN] = {"breakdown", TABLE_DROP_LAST, false},
        [REPORT_EXPLAIN_COUNTED] = {"counted", TABLE_KEEP, true},
        [REPORT_EXPLAIN_REASON] = {"reason", TABLE_BELOW, false},
};

const struct report_view report_view_explain = {
        explain_columns, REPORT_EXPLAIN_COLUMNS, REPORT_EXPLAIN_AMOUNT, REPORT_EXPLAIN_CURRENCY, -1,
        report_explain};

enum {
        VIEW_COLUMNS_MAX = REPORT_TOTAL_COLUMNS,
        MOMENT_BYTES = sizeof("2026-11-01T00:00:00.000000Z"),
};

_Static_assert((int)REPORT_LATEST_COLUMNS <= (int)VIEW_COLUMNS_MAX, "rows of every view fit");

/* True if a column is printed: in tables for people, columns without any value are left out. */
static bool is_shown(const struct pg_result *res, int column, enum table_format format)
{
        int rows = db_rows(res);

        for (int i = 0; i < rows && format == TABLE_TEXT; i++) {
                if (!db_null(res, i, column))
                        return true;
        }
        return format != TABLE_TEXT;
}

/* For people, a moment has no fraction and no seconds that are zero. */
static const char *short_moment(const char *moment, char ret[MOMENT_BYTES])
{
        size_t len = strlen(moment);

        if (len + 1 != MOMENT_BYTES || strcmp(moment + len - strlen(".000000Z"), ".000000Z") != 0)
                return moment;
        len -= strlen(".000000Z");
        if (strncmp(moment + len - strlen(":00"), ":00", strlen(":00")) == 0)
                len -= strlen(":00");
        snprintf(ret, MOMENT_BYTES, "%.*sZ", (int)len, moment);
        return ret;
}

static bool is_moment(const struct table_column *column)
{
        return strncmp(column->name, "period_", strlen("period_")) == 0 ||
               strcmp(column->name, "collected_at") == 0;
}

static void add_row(struct table *table, const struct pg_result *res, int row, const int *indexes,
                    enum table_format format)
{
        const char *cells[VIEW_COLUMNS_MAX];
        char moments[VIEW_COLUMNS_MAX][MOMENT_BYTES];

        for (size_t c = 0; c < table->columns_len; c++) {
                cells[c] = db_null(res, row, indexes[c]) ? NULL : db_text(res, row, indexes[c]).ptr;
                if (cells[c] && format == TABLE_TEXT && is_moment(&table->columns[c]))
                        cells[c] = short_moment(cells[c], moments[c]);
        }
        if (db_null(res, row, 0)) {
                cells[0] = "total";
                table->totals++;
        }
        table_add(table, cells);
}

static void print_rows(const struct pg_result *res, const struct report_view *view, enum table_format format)
{
        struct table_column shown[VIEW_COLUMNS_MAX];
        int indexes[VIEW_COLUMNS_MAX] = {0};
        struct table table = {.columns = shown};
        struct table_bars bars = {0};

        for (int c = 0; c < view->columns_len; c++) {
                if (!is_shown(res, c, format))
                        continue;
                if (c == view->amount_column)
                        bars.number_column = table.columns_len;
                if (c == view->currency_column)
                        bars.group_column = table.columns_len;
                shown[table.columns_len] = view->columns[c];
                indexes[table.columns_len++] = c;
        }
        for (int row = 0; row < db_rows(res); row++) {
                if (format == TABLE_TEXT || !db_null(res, row, 0))
                        add_row(&table, res, row, indexes, format);
        }
        table_print(&table, stdout, format, isatty(STDOUT_FILENO) ? &bars : NULL);
        table_deinit(&table);
}

/* Not for rows that are totals. */
static void print_fractional(const struct pg_result *res, int column)
{
        long long records = 0;

        for (int row = 0; row < db_rows(res); row++) {
                if (!db_null(res, row, 0) && !db_null(res, row, column))
                        records += strtoll(db_text(res, row, column).ptr, NULL, 10);
        }
        if (records > 0)
                printf("conversions lack the fractional conversions in metrics of %lld record%s\n", records,
                       records == 1 ? "" : "s");
}

void report_view_print(const struct report_view *view, const struct pg_result *res, enum table_format format)
{
        if (format == TABLE_TEXT && db_rows(res) == 0)
                puts("no spending in this range");
        else
                print_rows(res, view, format);
        if (format == TABLE_TEXT && view->fractional_column >= 0)
                print_fractional(res, view->fractional_column);
}
