#include "commands/commands.h"

#include <stdio.h>

#include "base/rfc3339.h"
#include "base/visible.h"
#include "commands/command.h"
#include "model/migration.h"
#include "model/role.h"

static void on_migrated(void *ctx, const char *name, const char *what)
{
        unsigned *applied = ctx;

        printf("%s %s\n", name, what);
        fflush(stdout);
        (*applied)++;
}

/* New tables and functions are not for the daemons' roles until role.sql grants them. */
static int warn_of_roles(struct db *db)
{
        struct pg_result *res;

        if (role_list_behind(db, &res) != 0)
                return command_fail_db(db, "cannot read the roles' privileges");
        for (int row = 0; row < db_rows(res); row++) {
                char name[256];

                visible_copy(db_text(res, row, 0).ptr, name, sizeof(name));
                fprintf(stderr,
                        "boris-ingestd: warning: role %s lacks privileges that this version needs (run role.sql again: "
                        "psql -v ON_ERROR_STOP=1 -v role=%s -f /usr/share/boris-ingestd/role.sql DATABASE)\n",
                        name, name);
        }
        db_result_free(res);
        return DONE;
}

static int apply_migrations(struct db *db)
{
        unsigned applied = 0;

        if (migration_apply(db, on_migrated, &applied) != 0)
                return command_fail(FAILED, "%s", db->error);
        if (applied == 0)
                printf("nothing to do: all %zu migrations are applied\n", migration_files_len);
        return warn_of_roles(db);
}

static int print_migrations(struct db *db)
{
        static const char *const remarks[] = {
                [MIGRATION_PENDING] = "pending",
                [MIGRATION_APPLIED] = "",
                [MIGRATION_CHANGED] = " (the file was changed since)",
                [MIGRATION_UNKNOWN] = " (by a newer version)",
        };
        struct migration_list list;

        if (migration_list_read(db, &list) != 0)
                return command_fail_db(db, "cannot read the applied migrations");
        for (size_t i = 0; i < list.len; i++) {
                const struct migration *m = &list.items[i];
                char when[RFC3339_TEXT_BYTES] = "";

                if (m->state != MIGRATION_PENDING)
                        rfc3339_format(m->applied_at, when);
                visible_print_line(stdout, "%s %s%s", m->name, when, remarks[m->state]);
        }
        migration_list_deinit(&list);
        return DONE;
}

int command_migrate(const struct config *config, bool status_only)
{
        struct db db;
        int status = command_open_database(&db, config);

        if (status == 0)
                status = status_only ? print_migrations(&db) : apply_migrations(&db);
        db_close(&db);
        return status;
}
