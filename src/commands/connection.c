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
#include "model/platform_connection.h"

static int insert(struct db *db, const struct platform_connection_new *row)
{
        char text[UUID_TEXT_LEN + 1];
        struct uuid id;
        int err = platform_connection_insert(db, row, &id);

        if (err == 0) {
                uuid_format(&id, text);
                puts(text);
                return DONE;
        }
        if (err == ERR_EXISTS)
                return command_fail(
                        FAILED,
                        "a connection of this id is there already: leave --id out, or give another one");
        if (err == ERR_INVALID)
                return command_fail(FAILED, "the database refuses the credentials: %s: change them",
                                    db->error);
        return command_fail_db(db, "cannot store the connection");
}

/* Encrypted credentials are bound to the id, which must be known before. */
static int insert_with_id(struct db *db, struct platform_connection_new *row, struct uuid *id,
                          const struct jwk_set *keys)
{
        struct buf stored = {0};
        int status = DONE;

        if (!row->id && platform_connection_new_id(db, id) != 0)
                return command_fail_db(db, "cannot store the connection");
        row->id = id;
        secrets_put(keys, id, row->credentials, &stored);
        row->credentials = (struct slice){stored.data, stored.len};
        status = insert(db, row);
        secrets_wipe(&stored);
        return status;
}

int command_connection_create(const struct config *config, const char *platform, const char *id,
                              const char *file)
{
        struct platform_connection_new row = {0};
        struct buf input = {0};
        struct jwk_set keys;
        struct uuid uuid;
        struct db db = {0};
        int status;

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
                status = insert_with_id(&db, &row, &uuid, &keys);
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

static void print_summary(const struct platform_connection_summary *c, const struct keeping *k)
{
        char id[UUID_TEXT_LEN + 1];
        char created[RFC3339_TEXT_BYTES];

        uuid_format(&c->id, id);
        rfc3339_format(c->created_at, created);
        printf("%s %-10s created %s, %lld ad accounts%s%s", id, platform_name(c->platform), created,
               (long long)c->accounts, k->words ? ", " : "", k->words ? k->words : "");
        fputs(k->kid[0] ? " (kid " : "", stdout);
        visible_put(stdout, k->kid);
        puts(k->kid[0] ? ")" : "");
}

static void add_summary(struct table *t, const struct platform_connection_summary *c, const struct keeping *k)
{
        char id[UUID_TEXT_LEN + 1];
        char created[RFC3339_TEXT_BYTES];
        char accounts[24];
        const char *cells[] = {id,       platform_name(c->platform), created, accounts,
                               k->words, k->kid[0] ? k->kid : NULL};

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
        };
        struct table t = {.columns = columns, .columns_len = sizeof(columns) / sizeof(columns[0])};
        struct platform_connection_summary *list = NULL;
        struct platform_connection_keepings keepings = {0};
        struct jwk_set keys = {0};
        enum table_format format;
        size_t len = 0;
        struct db db = {0};
        int status = command_read_format(format_text, true, &format);

        if (status == DONE && config->credentials.key_file[0])
                status = secrets_load_keys(config, &keys);
        if (status == DONE)
                status = command_open_database(&db, config);
        if (status == DONE && (platform_connection_list(&db, &list, &len) != 0 ||
                               platform_connection_keepings(&db, &keepings) != 0))
                status = command_fail_db(&db, "cannot list the connections");
        for (size_t i = 0; i < len; i++) {
                struct keeping k = find_keeping(&keys, &keepings, &list[i].id);

                if (format == TABLE_TEXT)
                        print_summary(&list[i], &k);
                else
                        add_summary(&t, &list[i], &k);
        }
        if (status == DONE && format != TABLE_TEXT)
                table_print(&t, stdout, format, NULL);
        table_deinit(&t);
        free(list);
        platform_connection_keepings_deinit(&keepings);
        jwk_set_deinit(&keys);
        db_close(&db);
        return status;
}

static void print_extent(FILE *out, const char *what, const char *id,
                         const struct platform_connection_extent *extent)
{
        fprintf(out,
                "%s connection %s (%s) and all that belongs to it: ad accounts: %" PRId64
                ", ad objects: %" PRId64 ", rows of spending: %" PRId64 "\n",
                what, id, platform_name(extent->platform), extent->accounts, extent->objects,
                extent->records);
}

/* Whether who runs the command wants it, asked on standard error. */
static bool is_wanted(const char *id, const struct platform_connection_extent *extent)
{
        char answer[16] = "";

        print_extent(stderr, "This deletes", id, extent);
        fputs("Type yes to go on: ", stderr);
        fflush(stderr);
        return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

static int delete_connection(struct db *db, const struct uuid *id, bool yes)
{
        struct platform_connection_extent extent;
        char text[UUID_TEXT_LEN + 1];
        int err = platform_connection_extent(db, id, &extent);

        uuid_format(id, text);
        if (err == 0 && !yes && !is_wanted(text, &extent))
                return command_fail(FAILED, "nothing was deleted: answer yes, or give --yes");
        if (err == 0)
                err = platform_connection_delete(db, id);
        if (err == ERR_NOT_FOUND)
                return command_fail(FAILED, "no connection %s: look at boris-ingestd connection list", text);
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
