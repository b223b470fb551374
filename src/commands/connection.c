#include "commands/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "commands/command.h"
#include "commands/secrets.h"
#include "commands/table.h"
#include "model/connection_label.h"
#include "model/platform_connection.h"

static int insert(struct db *db, const struct platform_connection_new *row)
{
        struct uuid id;
        int err = platform_connection_insert(db, row, &id);

        if (err == ERR_EXISTS)
                return command_fail(FAILED,
                                    "a connection with this id already exists: omit --id or choose another");
        if (err == ERR_INVALID)
                return command_fail(FAILED, "the database refuses the credentials: %s: change them",
                                    db->error);
        return err ? command_fail_db(db, "cannot store the connection") : DONE;
}

/* Stores the connection and its label, both or nothing, and prints the id. */
static int insert_labelled(struct db *db, const struct platform_connection_new *row, const char *label)
{
        char text[UUID_TEXT_LEN + 1];
        int status;

        if (db_run(db, "BEGIN") != 0)
                return command_fail_db(db, "cannot store the connection");
        status = insert(db, row);
        if (status == DONE && label && connection_label_set(db, row->id, slice_str(label)) != 0)
                status = command_fail_db(db, "cannot store the label");
        if (status == DONE && db_run(db, "COMMIT") != 0)
                status = command_fail_db(db, "cannot store the connection");
        if (status == DONE) {
                uuid_format(row->id, text);
                puts(text);
        }
        return status;
}

/* Encrypted credentials are bound to the id, which must be known before. */
static int insert_with_id(struct db *db, struct platform_connection_new *row, struct uuid *id,
                          const char *label, const struct jwk_set *keys)
{
        struct buf stored = {0};
        int status = DONE;

        if (!row->id && platform_connection_new_id(db, id) != 0)
                return command_fail_db(db, "cannot store the connection");
        row->id = id;
        secrets_put(keys, id, row->credentials, &stored);
        row->credentials = (struct slice){stored.data, stored.len};
        status = insert_labelled(db, row, label);
        secrets_wipe(&stored);
        return status;
}

int command_connection_create(const struct config *config, const char *platform, const char *id,
                              const char *label, const char *file)
{
        struct platform_connection_new row = {0};
        struct buf input = {0};
        struct jwk_set keys;
        struct uuid uuid;
        struct db db = {0};
        int status = command_check_label(label);

        if (status)
                return status;
        if (!platform_parse(slice_str(platform), &row.platform))
                return command_fail(USAGE,
                                    "PLATFORM must be META, GOOGLE_ADS or TIKTOK; see boris-ingestd --help");
        if (id && !uuid_parse(slice_str(id), &uuid))
                return command_fail(USAGE, "--id must be a UUID; see boris-ingestd --help");
        row.id = id ? &uuid : NULL;
        secrets_hide();
        status = secrets_load_keys(config, &keys);
        if (status == 0)
                status = secrets_read(file, &input);
        row.credentials = (struct slice){input.data, input.len};
        if (status == 0)
                status = command_open_database(&db, config);
        if (status == 0)
                status = insert_with_id(&db, &row, &uuid, label, &keys);
        db_close(&db);
        secrets_wipe(&input);
        jwk_set_deinit(&keys);
        return status;
}

/* How a connection's credentials are kept, as far as this role may see that. */
struct keeping {
        const char *words; /* NULL: it may not */
        char kid[JWK_KID_BYTES];
};

static struct keeping find_keeping(const struct jwk_set *keys, const struct platform_connection_keepings *all,
                                   const struct uuid *id)
{
        struct keeping ret = {NULL, ""};

        for (size_t i = 0; i < all->len; i++) {
                if (!uuid_eq(&all->rows[i].id, id))
                        continue;
                switch (secrets_keeping(keys, &all->rows[i], ret.kid)) {
                case SECRETS_PLAIN:
                        ret.words = "plain credentials";
                        break;
                case SECRETS_CURRENT:
                        ret.words = "encrypted";
                        break;
                case SECRETS_OLD:
                        ret.words = "encrypted with an old key";
                        break;
                case SECRETS_FOREIGN:
                        ret.words = keys->len > 0 ? "encrypted with an unknown key" : "encrypted";
                        break;
                }
        }
        return ret;
}

static void print_summary(const struct platform_connection_summary *c, const struct keeping *k,
                          const char *label)
{
        char id[UUID_TEXT_LEN + 1];
        char created[RFC3339_TEXT_BYTES];

        uuid_format(&c->id, id);
        rfc3339_format(c->created_at, created);
        printf("%s %-10s created %s, %lld ad accounts%s%s", id, platform_name(c->platform), created,
               (long long)c->accounts, k->words ? ", " : "", k->words ? k->words : "");
        fputs(k->kid[0] ? " (kid " : "", stdout);
        visible_put(stdout, k->kid);
        fputs(k->kid[0] ? ")" : "", stdout);
        if (label)
                visible_print_line(stdout, ", label \"%s\"", label);
        else
                putchar('\n');
}

static void add_summary(struct table *t, const struct platform_connection_summary *c, const struct keeping *k,
                        const char *label)
{
        char id[UUID_TEXT_LEN + 1];
        char created[RFC3339_TEXT_BYTES];
        char accounts[24];
        const char *cells[] = {id,       platform_name(c->platform), created, accounts,
                               k->words, k->kid[0] ? k->kid : NULL,  label};

        uuid_format(&c->id, id);
        rfc3339_format(c->created_at, created);
        snprintf(accounts, sizeof(accounts), "%" PRId64, c->accounts);
        table_add(t, cells);
}

int command_connection_list(const struct config *config, const char *format_text)
{
        static const struct table_column columns[] = {
                {"id", TABLE_KEEP, false},          {"platform", TABLE_KEEP, false},
                {"created_at", TABLE_KEEP, false},  {"accounts", TABLE_KEEP, true},
                {"credentials", TABLE_KEEP, false}, {"kid", TABLE_KEEP, false},
                {"label", TABLE_KEEP, false},
        };
        struct table t = {.columns = columns, .columns_len = sizeof(columns) / sizeof(columns[0])};
        struct platform_connection_summary *list = NULL;
        struct platform_connection_keepings keepings = {0};
        struct connection_labels labels = {0};
        struct jwk_set keys = {0};
        enum table_format format;
        size_t len = 0;
        struct db db = {0};
        int status = command_read_format(format_text, true, &format);

        if (status == DONE && config->credentials.key_file[0])
                status = secrets_load_keys(config, &keys);
        if (status == DONE)
                status = command_open_database(&db, config);
        if (status == DONE &&
            (platform_connection_list(&db, &list, &len) != 0 ||
             platform_connection_keepings(&db, &keepings) != 0 || connection_labels_read(&db, &labels) != 0))
                status = command_fail_db(&db, "cannot list the connections");
        for (size_t i = 0; i < len && status == DONE; i++) {
                struct keeping k = find_keeping(&keys, &keepings, &list[i].id);
                const char *label = connection_labels_find(&labels, &list[i].id);

                if (format == TABLE_TEXT)
                        print_summary(&list[i], &k, label);
                else
                        add_summary(&t, &list[i], &k, label);
        }
        if (status == DONE && format != TABLE_TEXT)
                table_print(&t, stdout, format, NULL);
        table_deinit(&t);
        free(list);
        platform_connection_keepings_deinit(&keepings);
        connection_labels_deinit(&labels);
        jwk_set_deinit(&keys);
        db_close(&db);
        return status;
}

static void print_extent(FILE *out, const char *what, const char *connection,
                         const struct platform_connection_extent *extent)
{
        visible_print_line(out,
                           "%s connection %s (%s) and all that belongs to it: ad accounts: %" PRId64
                           ", ad objects: %" PRId64 ", rows of spending: %" PRId64,
                           what, connection, platform_name(extent->platform), extent->accounts,
                           extent->objects, extent->records);
}

/* Asks the user for confirmation on standard error. */
static bool is_wanted(const char *connection, const struct platform_connection_extent *extent)
{
        char answer[16] = "";

        print_extent(stderr, "This deletes", connection, extent);
        fputs("Type yes to continue: ", stderr);
        fflush(stderr);
        return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

static int delete_connection(struct db *db, const struct uuid *id, bool yes)
{
        struct platform_connection_extent extent;
        char text[UUID_TEXT_LEN + CONNECTION_LABEL_BYTES];
        struct connection_labels labels;
        int err = platform_connection_extent(db, id, &extent);

        uuid_format(id, text);
        if (err == 0)
                err = connection_labels_read(db, &labels);
        if (err == 0) {
                connection_labels_quote(&labels, id, text + UUID_TEXT_LEN);
                connection_labels_deinit(&labels);
        }
        if (err == 0 && !yes && !is_wanted(text, &extent))
                return command_fail(FAILED, "nothing was deleted: answer yes, or give --yes");
        if (err == 0)
                err = platform_connection_delete(db, id);
        if (err == ERR_NOT_FOUND)
                return command_fail(FAILED, "no connection %s (see boris-ingestd connection list)", text);
        if (err)
                return command_fail_db(db, "cannot delete the connection");
        print_extent(stdout, "deleted", text, &extent);
        return DONE;
}

int command_connection_delete(const struct config *config, const char *id, bool yes)
{
        struct uuid uuid;
        struct db db;
        int status;

        if (!uuid_parse(slice_str(id), &uuid))
                return command_fail(USAGE, "ID must be a UUID; see boris-ingestd --help");
        status = command_open_database(&db, config);
        if (status == 0)
                status = delete_connection(&db, &uuid, yes);
        db_close(&db);
        return status;
}
