#include "commands/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/rfc3339.h"
#include "base/visible.h"
#include "commands/command.h"
#include "commands/table.h"
#include "model/ad_object.h"
#include "model/connection_label.h"

enum { INDENT = 2, OBJECT_BYTES = 600 };

static const struct table_column columns[] = {
        {"object", TABLE_KEEP, false}, {"type", TABLE_KEEP, false},           {"status", TABLE_KEEP, false},
        {"records", TABLE_KEEP, true}, {"last collected", TABLE_KEEP, false}, {"name", TABLE_SHRINK, false},
};

/* For programs. */
static const struct table_column plain_columns[] = {
        {"platform", TABLE_KEEP, false},
        {"connection", TABLE_KEEP, false},
        {"account", TABLE_KEEP, false},
        {"object", TABLE_KEEP, false},
        {"depth", TABLE_KEEP, true},
        {"type", TABLE_KEEP, false},
        {"status", TABLE_KEEP, false},
        {"records", TABLE_KEEP, true},
        {"last_collected", TABLE_KEEP, false},
        {"name", TABLE_KEEP, false},
        {"connection_label", TABLE_KEEP, false},
};

static void add_plain_node(struct table *t, const struct ad_account *account, const char *label,
                           const struct ad_object_node *node)
{
        char connection[UUID_TEXT_LEN + 1];
        char depth[24];
        char records[24];
        char collected[RFC3339_TEXT_BYTES];
        const char *cells[] = {platform_name(account->platform),
                               connection,
                               account->external_id,
                               node->external_id,
                               depth,
                               ad_object_type_name(node->type),
                               ad_object_status_name(node->status),
                               records,
                               node->records ? collected : NULL,
                               node->name,
                               label};

        uuid_format(&account->platform_connection_id, connection);
        snprintf(depth, sizeof(depth), "%" PRId64, node->depth);
        snprintf(records, sizeof(records), "%" PRId64, node->records);
        rfc3339_format(node->last_collected_at, collected);
        table_add(t, cells);
}

static void print_plain(const struct ad_account *account, const struct connection_labels *labels,
                        const struct ad_object_list *nodes, enum table_format format)
{
        const char *label = connection_labels_find(labels, &account->platform_connection_id);
        struct table t = {.columns = plain_columns,
                          .columns_len = sizeof(plain_columns) / sizeof(plain_columns[0])};

        for (size_t i = 0; i < nodes->len; i++)
                add_plain_node(&t, account, label, &nodes->rows[i]);
        table_print(&t, stdout, format, NULL);
        table_deinit(&t);
}

static void add_node(struct table *t, const struct ad_object_node *node)
{
        char object[OBJECT_BYTES];
        char records[24];
        char collected[RFC3339_TEXT_BYTES];
        const char *cells[] = {object,  ad_object_type_name(node->type),  ad_object_status_name(node->status),
                               records, node->records ? collected : NULL, node->name};

        snprintf(object, sizeof(object), "%*s%s", (int)node->depth * INDENT, "", node->external_id);
        snprintf(records, sizeof(records), "%" PRId64, node->records);
        rfc3339_format(node->last_collected_at, collected);
        table_add(t, cells);
}

static void print(const struct ad_account *account, const struct connection_labels *labels,
                  const struct ad_object_list *nodes)
{
        struct table t = {.columns = columns, .columns_len = sizeof(columns) / sizeof(columns[0])};
        char connection[UUID_TEXT_LEN + 1];
        char label[CONNECTION_LABEL_BYTES];

        uuid_format(&account->platform_connection_id, connection);
        connection_labels_quote(labels, &account->platform_connection_id, label);
        visible_print_line(stdout, "%s ad account %s on platform connection %s%s: %s, %s, %zu ad objects",
                           platform_name(account->platform), account->external_id, connection, label,
                           account->currency, account->timezone, nodes->len);
        for (size_t i = 0; i < nodes->len; i++)
                add_node(&t, &nodes->rows[i]);
        table_print(&t, stdout, TABLE_TEXT, NULL);
        table_deinit(&t);
}

static int print_hierarchy(struct db *db, const struct command_account *asked, enum table_format format)
{
        struct ad_account_list accounts;
        struct ad_object_list nodes = {0};
        struct connection_labels labels = {0};
        struct uuid object;
        int status = command_find_account(db, asked, &accounts, &object);
        int err;

        if (status)
                return status;
        err = asked->object ? ad_object_lineage(db, &object, &nodes)
                            : ad_object_tree(db, &accounts.rows[0].id, &nodes);
        if (err || connection_labels_read(db, &labels) != 0)
                status = command_fail_db(db, "cannot read the hierarchy");
        else if (format == TABLE_TEXT)
                print(&accounts.rows[0], &labels, &nodes);
        else
                print_plain(&accounts.rows[0], &labels, &nodes, format);
        connection_labels_deinit(&labels);
        ad_object_list_deinit(&nodes);
        ad_account_list_deinit(&accounts);
        return status;
}

int command_hierarchy(const struct config *config, const struct account_options *options,
                      const char *format_text)
{
        struct command_account asked;
        enum table_format format;
        struct db db;
        int status = command_read_format(format_text, true, &format);

        if (status == 0)
                status = command_read_account(options, &asked);

        if (status == 0 && !asked.external_id)
                status = command_fail(USAGE, "hierarchy needs an --account; see boris-ingestd --help");
        if (status)
                return status;
        status = command_open_database(&db, config);
        if (status == 0)
                status = print_hierarchy(&db, &asked, format);
        db_close(&db);
        return status;
}
