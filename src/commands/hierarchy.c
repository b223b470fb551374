#include "commands/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/rfc3339.h"
#include "base/visible.h"
#include "commands/command.h"
#include "commands/table.h"
#include "model/ad_object.h"

enum { INDENT = 2, OBJECT_BYTES = 600 };

static const struct table_column columns[] = {
        {"object", TABLE_KEEP, false}, {"type", TABLE_KEEP, false},           {"status", TABLE_KEEP, false},
        {"records", TABLE_KEEP, true}, {"last collected", TABLE_KEEP, false}, {"name", TABLE_SHRINK, false},
};

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

static void print(const struct ad_account *account, const struct ad_object_list *nodes)
{
        struct table t = {.columns = columns, .columns_len = sizeof(columns) / sizeof(columns[0])};
        char connection[UUID_TEXT_LEN + 1];

        uuid_format(&account->platform_connection_id, connection);
        visible_print_line(stdout, "%s ad account %s on connection %s: %s, %s, %zu ad objects",
                           platform_name(account->platform), account->external_id, connection,
                           account->currency, account->timezone, nodes->len);
        for (size_t i = 0; i < nodes->len; i++)
                add_node(&t, &nodes->rows[i]);
        table_print(&t, stdout, TABLE_TEXT, NULL);
        table_deinit(&t);
}

static int print_hierarchy(struct db *db, const struct command_account *asked)
{
        struct ad_account_list accounts;
        struct ad_object_list nodes = {0};
        struct uuid object;
        int status = command_find_account(db, asked, &accounts, &object);
        int err;

        if (status)
                return status;
        err = asked->object ? ad_object_lineage(db, &object, &nodes)
                            : ad_object_tree(db, &accounts.rows[0].id, &nodes);
        if (err)
                status = command_fail_db(db, "cannot read the hierarchy");
        else
                print(&accounts.rows[0], &nodes);
        ad_object_list_deinit(&nodes);
        ad_account_list_deinit(&accounts);
        return status;
}

int command_hierarchy(const struct config *config, const struct account_options *options)
{
        struct command_account asked;
        struct db db;
        int status = command_read_account(options, &asked);

        if (status == 0 && !asked.external_id)
                status = command_fail(USAGE, "hierarchy needs an --account; see boris-ingestd --help");
        if (status)
                return status;
        status = command_open_database(&db, config);
        if (status == 0)
                status = print_hierarchy(&db, &asked);
        db_close(&db);
        return status;
}
