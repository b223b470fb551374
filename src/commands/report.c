#include "commands/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/rfc3339.h"
#include "base/visible.h"
#include "commands/command.h"
#include "commands/report_view.h"
#include "model/report.h"

enum { INTERVAL_BYTES = 24 };

/* The request, read from the options. */
struct request {
        struct command_account account;
        struct report_query query;
        char bucket[INTERVAL_BYTES];
        enum table_format format;
        const struct report_view *view;
};

/* --- options --- */

static bool read_moment(const char *text, struct report_moment *ret)
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

/* A day starts by the account's time zone, which is not known yet, so a day is not compared with a moment. */
static bool is_behind(const struct report_moment *from, const struct report_moment *to)
{
        if (from->is_day != to->is_day)
                return false;
        return from->is_day ? strcmp(from->day, to->day) > 0 : from->unix_us > to->unix_us;
}

static int read_range(const struct report_options *options, struct report_query *ret)
{
        static const char rule[] = "must be a day like 2026-11-01 or a time like 2026-11-01T00:00:00Z";

        if (!options->from || !options->to)
                return command_fail(USAGE, "report needs --from and --to; see boris-ingestd --help");
        if (!read_moment(options->from, &ret->from))
                return command_fail(USAGE, "--from %s; see boris-ingestd --help", rule);
        if (!read_moment(options->to, &ret->to))
                return command_fail(USAGE, "--to %s; see boris-ingestd --help", rule);
        if (is_behind(&ret->from, &ret->to))
                return command_fail(USAGE, "--from must not be later than --to; see boris-ingestd --help");
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

/* Returns 0, or USAGE after printing the error. */
static int read_request(const struct report_options *options, struct request *ret)
{
        int status = command_read_account(&options->of, &ret->account);

        if (status == 0)
                status = read_range(options, &ret->query);
        if (status)
                return status;
        ret->view = options->explain  ? &report_view_explain
                    : options->latest ? &report_view_latest
                                      : &report_view_totals;
        if (ret->view != &report_view_totals && (options->bucket || options->by))
                return command_fail(USAGE, "--%s excludes --bucket and --by; see boris-ingestd --help",
                                    options->explain ? "explain" : "latest");
        if (options->explain && (options->latest || !options->of.object))
                return command_fail(
                        USAGE, "--explain needs --object and excludes --latest; see boris-ingestd --help");
        if (!read_bucket(options->bucket ? options->bucket : "1d", ret->bucket))
                return command_fail(USAGE, "--bucket must be a number and h, d, w or mon, like 1d; "
                                           "see boris-ingestd --help");
        if (!report_group_parse(slice_str(options->by ? options->by : "account"), &ret->query.by))
                return command_fail(USAGE, "--by must be account, platform, campaign or object; "
                                           "see boris-ingestd --help");
        if (!table_format_parse(slice_str(options->format ? options->format : "table"), &ret->format))
                return command_fail(USAGE, "--format must be table, csv or json; see boris-ingestd --help");
        ret->query.bucket = ret->bucket;
        return 0;
}

/* --- printing --- */

/* An account with an unknown time zone is reported by days of UTC, which are not its own; this must not pass
 * for a correct report. */
static int fail_on_unknown_zones(struct db *db, const struct uuid *ad_account_id)
{
        struct pg_result *res;
        int accounts;

        if (report_unknown_zones(db, ad_account_id, &res) != 0)
                return command_fail_db(db, "cannot read the time zones");
        accounts = db_rows(res);
        for (int row = 0; row < accounts; row++) {
                char account[256];
                char zone[256];

                fprintf(stderr,
                        "boris-ingestd: warning: %s ad account %s: unknown time zone \"%s\": its days are shown as "
                        "days of UTC (send the account again with an IANA name)\n",
                        db_text(res, row, 0).ptr,
                        visible_copy(db_text(res, row, 1).ptr, account, sizeof(account)),
                        visible_copy(db_text(res, row, 2).ptr, zone, sizeof(zone)));
        }
        db_result_free(res);
        if (accounts == 0)
                return DONE;
        return command_fail(
                FAILED,
                "%d ad account%s an unknown time zone: amounts may be on the wrong days (see the warnings)",
                accounts, accounts == 1 ? " has" : "s have");
}

static int print_report(struct db *db, const struct request *request)
{
        const struct report_view *view = request->view;
        struct pg_result *res;

        if (view->read(db, &request->query, &res) != 0)
                return command_fail_db(db, "cannot read the spending");
        report_view_print(view, res, request->format);
        db_result_free(res);
        return fail_on_unknown_zones(db, request->query.ad_account_id);
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
