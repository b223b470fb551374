#include "commands/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/visible.h"
#include "model/ad_object.h"
#include "model/connect_fault.h"
#include "model/connection_label.h"
#include "pg/sqlstate.h"
#include "wire/reply.h"

int command_fail(int status, const char *fmt, ...)
{
        va_list args;

        fflush(stdout);
        fputs("boris-ingestd: ", stderr);
        va_start(args, fmt);
        visible_vprint_line(stderr, fmt, args);
        va_end(args);
        return status;
}

int command_read_format(const char *text, bool csv, enum table_format *ret)
{
        *ret = TABLE_TEXT;
        if (!text || (table_format_parse(slice_str(text), ret) && (csv || *ret != TABLE_CSV)))
                return DONE;
        return command_fail(USAGE, "--format must be table%s or json; see boris-ingestd --help",
                            csv ? ", csv" : "");
}

bool command_terminal_is_dumb(void)
{
        const char *term = getenv("TERM");

        return term && strcmp(term, "dumb") == 0;
}

void command_print_reject(bool json, uint64_t line, const char *code, const char *field, const char *message)
{
        struct buf out = {0};

        if (json) {
                reply_reject_texts(&out, line, code, field, message);
                fwrite(out.data, 1, out.len, stdout);
                buf_deinit(&out);
                return;
        }
        printf("line %" PRIu64 ": ", line);
        visible_put(stdout, code);
        fputs(field[0] ? " " : "", stdout);
        visible_put(stdout, field);
        fputs(": ", stdout);
        visible_put(stdout, message);
        putchar('\n');
}

const char *command_advice(const struct db *db)
{
        const char *text = sqlstate_advice(db->sqlstate);

        return text ? text : "check the database server, then try again";
}

int command_fail_db(const struct db *db, const char *what)
{
        return command_fail(FAILED, "%s: %s: %s", what, db->error, command_advice(db));
}

int command_open_database(struct db *db, const struct config *config)
{
        if (db_open(db, config->database.url) == 0)
                return 0;
        if (!db_url_valid(config->database.url))
                return command_fail(FAILED, "cannot connect to the database: %s", db->error);
        return command_fail(FAILED, "cannot connect to the database: %s (%s)", db->error,
                            connect_advice_for(db->error, config->database.url));
}

int command_check_label(const char *label)
{
        if (!label || connection_label_valid(label))
                return 0;
        return command_fail(
                USAGE, "--label must be at most %d characters, all of them visible; see boris-ingestd --help",
                CONNECTION_LABEL_MAX);
}

int command_read_account(const struct account_options *options, struct command_account *ret)
{
        *ret = (struct command_account){
                .external_id = options->account,
                .object = options->object,
                .has_platform = options->platform != NULL,
                .has_connection = options->connection != NULL,
        };
        if (!options->account && (options->platform || options->connection || options->object))
                return command_fail(USAGE, "--platform, --connection and --object belong to an --account; "
                                           "see boris-ingestd --help");
        if (options->platform && !platform_parse(slice_str(options->platform), &ret->platform))
                return command_fail(
                        USAGE, "--platform must be META, GOOGLE_ADS or TIKTOK; see boris-ingestd --help");
        if (options->connection && !uuid_parse(slice_str(options->connection), &ret->connection))
                return command_fail(USAGE, "--connection must be a UUID; see boris-ingestd --help");
        return 0;
}

/* Names the first few platform connections between which the user must choose. */
static int fail_ambiguous(struct db *db, const struct ad_account_list *accounts)
{
        enum { NAMED_MAX = 8, NAME_BYTES = 48 + UUID_TEXT_LEN + CONNECTION_LABEL_BYTES };
        char text[NAMED_MAX * NAME_BYTES] = "";
        struct connection_labels labels;
        size_t len = 0;

        if (connection_labels_read(db, &labels) != 0)
                return command_fail_db(db, "cannot read the labels");
        for (size_t i = 0; i < accounts->len && i < NAMED_MAX; i++) {
                const struct ad_account *a = &accounts->rows[i];
                char id[UUID_TEXT_LEN + 1];
                char label[CONNECTION_LABEL_BYTES];

                uuid_format(&a->platform_connection_id, id);
                connection_labels_quote(&labels, &a->platform_connection_id, label);
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s platform connection %s%s",
                                        i ? ", " : "", platform_name(a->platform), id, label);
        }
        connection_labels_deinit(&labels);
        return command_fail(
                FAILED, "%zu ad accounts have this id: on %s%s (choose one with --platform or --connection)",
                accounts->len, text, accounts->len > NAMED_MAX ? ", ..." : "");
}

static int find_one_account(struct db *db, const struct command_account *asked, struct ad_account_list *ret)
{
        int status;

        if (ad_account_find_external(db, slice_str(asked->external_id),
                                     asked->has_platform ? &asked->platform : NULL,
                                     asked->has_connection ? &asked->connection : NULL, ret) != 0)
                return command_fail_db(db, "cannot look up the ad account");
        if (ret->len == 1)
                return 0;
        status = ret->len > 0
                         ? fail_ambiguous(db, ret)
                         : command_fail(FAILED,
                                        "no such ad account (check --account, --platform and --connection)");
        ad_account_list_deinit(ret);
        return status;
}

int command_find_account(struct db *db, const struct command_account *asked, struct ad_account_list *ret,
                         struct uuid *ret_object)
{
        int status = find_one_account(db, asked, ret);
        int err;

        if (status || !asked->object)
                return status;
        err = ad_object_find_external(db, &ret->rows[0].id, slice_str(asked->object), ret_object);
        if (err == 0)
                return 0;
        ad_account_list_deinit(ret);
        if (err == ERR_NOT_FOUND)
                return command_fail(FAILED, "the account has no such ad object (check --object)");
        return command_fail_db(db, "cannot look up the ad object");
}
