#include "commands/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rfc3339.h"
#include "commands/command.h"
#include "commands/table.h"
#include "model/spending.h"

enum { INTERVAL_BYTES = 24 };

/* What is asked for, read from the options. */
struct request {
        struct command_account account;
        struct spending_query query;
        char bucket[INTERVAL_BYTES];
        enum table_format format;
        bool latest;
};

/* --- options --- */

static bool read_moment(const char *text, struct spending_moment *ret)
{
        char midnight[32];
        int64_t unix_us;

        ret->is_day = strlen(text) == sizeof(ret->day) - 1;
        if (!ret->is_day)
                return rfc3339_parse(slice_str(text), &ret->unix_us) == RFC3339_OK;
        snprintf(midnight, sizeof(midnight), "%sT00:00:00Z", text);
        memcpy(ret->day, text, sizeof(ret->day));
        return rfc3339_parse(slice_str(midnight), &unix_us) == RFC3339_OK;
}

/* A day begins when it does in the account's time zone, which is not known yet: it is not compared with a
 * time. */
static bool is_behind(const struct spending_moment *from, const struct spending_moment *to)
{
        if (from->is_day != to->is_day)
                return false;
        return from->is_day ? strcmp(from->day, to->day) > 0 : from->unix_us > to->unix_us;
}

static int read_range(const struct report_options *options, struct spending_query *ret)
{
        static const char rule[] = "must be a day like 2026-11-01 or a time like 2026-11-01T00:00:00Z";

        if (!options->from || !options->to)
                return command_fail(USAGE, "report needs --from and --to; see boris-ingestd --help");
        if (!read_moment(options->from, &ret->from))
                return command_fail(USAGE, "--from %s; see boris-ingestd --help", rule);
        if (!read_moment(options->to, &ret->to))
                return command_fail(USAGE, "--to %s; see boris-ingestd --help", rule);
        if (is_behind(&ret->from, &ret->to))
                return command_fail(USAGE, "--from must not come behind --to; see boris-ingestd --help");
        return 0;
}

/* "1d" becomes "1 days". */
static bool read_bucket(const char *text, char ret[INTERVAL_BYTES])
{
        static const char *const units[][2] = {
                {"h", "hours"}, {"d", "days"}, {"w", "weeks"}, {"mon", "months"}};
        size_t digits = strspn(text, "0123456789");

        if (digits < 1 || digits > 4 || text[0] == '0')
                return false;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
                if (strcmp(text + digits, units[i][0]) == 0) {
                        snprintf(ret, INTERVAL_BYTES, "%.*s %s", (int)digits, text, units[i][1]);
                        return true;
                }
        }
        return false;
}

/* 0, or USAGE once it is told. */
static int read_request(const struct report_options *options, struct request *ret)
{
        int status = command_read_account(&options->of, &ret->account);

        if (status == 0)
                status = read_range(options, &ret->query);
        if (status)
                return status;
        ret->latest = options->latest;
        if (options->latest && (options->bucket || options->by))
                return command_fail(USAGE,
                                    "--latest has neither --bucket nor --by; see boris-ingestd --help");
        if (!read_bucket(options->bucket ? options->bucket : "1d", ret->bucket))
                return command_fail(USAGE, "--bucket must be a number and h, d, w or mon, like 1d; "
                                           "see boris-ingestd --help");
        if (!spending_group_parse(slice_str(options->by ? options->by : "account"), &ret->query.by))
                return command_fail(USAGE, "--by must be account, platform, campaign or object; "
                                           "see boris-ingestd --help");
        if (!table_format_parse(slice_str(options->format ? options->format : "table"), &ret->format))
                return command_fail(USAGE, "--format must be table, csv or json; see boris-ingestd --help");
        ret->query.bucket = ret->bucket;
        return 0;
}

/* --- printing --- */

static const struct table_column total_columns[SPENDING_TOTAL_COLUMNS] = {
        [SPENDING_TOTAL_BUCKET] = {"bucket", false},
        [SPENDING_TOTAL_PLATFORM] = {"platform", false},
        [SPENDING_TOTAL_ACCOUNT] = {"account", false},
        [SPENDING_TOTAL_OBJECT] = {"object", false},
        [SPENDING_TOTAL_TYPE] = {"type", false},
        [SPENDING_TOTAL_NAME] = {"name", false},
        [SPENDING_TOTAL_CURRENCY] = {"currency", false},
        [SPENDING_TOTAL_AMOUNT] = {"amount_cents", true},
        [SPENDING_TOTAL_IMPRESSIONS] = {"impressions", true},
        [SPENDING_TOTAL_CLICKS] = {"clicks", true},
        [SPENDING_TOTAL_CONVERSIONS] = {"conversions", true},
        [SPENDING_TOTAL_RECORDS] = {"records", true},
        [SPENDING_TOTAL_LEVELS] = {"levels", false},
};

static const struct table_column latest_columns[SPENDING_LATEST_COLUMNS] = {
        [SPENDING_LATEST_PERIOD_START] = {"period_start", false},
        [SPENDING_LATEST_PERIOD_END] = {"period_end", false},
        [SPENDING_LATEST_COLLECTED_AT] = {"collected_at", false},
        [SPENDING_LATEST_PLATFORM] = {"platform", false},
        [SPENDING_LATEST_ACCOUNT] = {"account", false},
        [SPENDING_LATEST_OBJECT] = {"object", false},
        [SPENDING_LATEST_TYPE] = {"type", false},
        [SPENDING_LATEST_NAME] = {"name", false},
        [SPENDING_LATEST_CURRENCY] = {"currency", false},
        [SPENDING_LATEST_AMOUNT] = {"amount_cents", true},
        [SPENDING_LATEST_IMPRESSIONS] = {"impressions", true},
        [SPENDING_LATEST_CLICKS] = {"clicks", true},
        [SPENDING_LATEST_CONVERSIONS] = {"conversions", true},
        [SPENDING_LATEST_RECORDS] = {"records", true},
};

/* Whether a column is printed: one without any value says nothing to people. */
static bool is_shown(const struct pg_result *res, int column, enum table_format format)
{
        int rows = db_rows(res);

        for (int i = 0; i < rows && format == TABLE_TEXT; i++) {
                if (!db_null(res, i, column))
                        return true;
        }
        return format != TABLE_TEXT;
}

/* @res with those of @columns that are shown. The rows without a first column are totals, for people only. */
static void print(const struct pg_result *res, const struct table_column *columns, int columns_len,
                  int amount_column, int currency_column, enum table_format format)
{
        struct table_column shown[SPENDING_LATEST_COLUMNS];
        int indexes[SPENDING_LATEST_COLUMNS];
        struct table table = {.columns = shown};
        struct table_bars bars = {0};
        int rows = db_rows(res);

        for (int c = 0; c < columns_len; c++) {
                if (!is_shown(res, c, format))
                        continue;
                if (c == amount_column)
                        bars.number_column = table.columns_len;
                if (c == currency_column)
                        bars.group_column = table.columns_len;
                shown[table.columns_len] = columns[c];
                indexes[table.columns_len++] = c;
        }
        for (int row = 0; row < rows; row++) {
                const char *cells[SPENDING_LATEST_COLUMNS];
                bool is_total = db_null(res, row, 0);

                if (is_total && format != TABLE_TEXT)
                        continue;
                for (size_t c = 0; c < table.columns_len; c++)
                        cells[c] = db_null(res, row, indexes[c]) ? NULL : db_text(res, row, indexes[c]).ptr;
                if (is_total)
                        cells[0] = "total";
                else
                        bars.rows++;
                table_add(&table, cells);
        }
        table_print(&table, stdout, format, isatty(STDOUT_FILENO) ? &bars : NULL);
        table_deinit(&table);
}

static int print_report(struct db *db, const struct request *request)
{
        struct pg_result *res;
        int err = request->latest ? spending_latest(db, &request->query, &res)
                                  : spending_totals(db, &request->query, &res);

        if (err)
                return command_fail_db(db, "cannot read the spending");
        if (request->format == TABLE_TEXT && db_rows(res) == 0)
                puts("no spending in this range");
        else if (request->latest)
                print(res, latest_columns, SPENDING_LATEST_COLUMNS, SPENDING_LATEST_AMOUNT,
                      SPENDING_LATEST_CURRENCY, request->format);
        else
                print(res, total_columns, SPENDING_TOTAL_COLUMNS, SPENDING_TOTAL_AMOUNT,
                      SPENDING_TOTAL_CURRENCY, request->format);
        db_result_free(res);
        return DONE;
}

/* --- the command --- */

static int find_and_print(struct db *db, const struct request *request)
{
        struct request narrowed = *request;
        struct ad_account_list accounts;
        struct uuid object;
        int status;

        if (!request->account.external_id)
                return print_report(db, request);
        status = command_find_account(db, &request->account, &accounts, &object);
        if (status)
                return status;
        narrowed.query.ad_account_id = &accounts.rows[0].id;
        narrowed.query.ad_object_id = request->account.object ? &object : NULL;
        status = print_report(db, &narrowed);
        ad_account_list_deinit(&accounts);
        return status;
}

int command_report(const struct config *config, const struct report_options *options)
{
        struct request request = {0};
        struct db db;
        int status = read_request(options, &request);

        if (status)
                return status;
        status = command_open_database(&db, config);
        if (status == 0)
                status = find_and_print(&db, &request);
        db_close(&db);
        return status;
}
