#include "commands/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include "commands/command.h"
#include "model/platform_connection.h"

enum { CREDENTIALS_MAX = 1 << 20 };

/* Reads all of @file, or of standard input if NULL. */
static int read_credentials(const char *file, struct buf *out)
{
        int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
        ssize_t n;

        if (fd < 0)
                return command_fail(FAILED, "cannot read the credentials: %s: %s", file, strerror(errno));
        if (isatty(fd))
                fputs("Credentials as a JSON object, then Ctrl-D:\n", stderr);
        /* reserved at once, so that growing leaves no copy of a secret behind */
        buf_reserve(out, CREDENTIALS_MAX + 1);
        do {
                n = read(fd, out->data + out->len, CREDENTIALS_MAX + 1 - out->len);
                if (n > 0)
                        out->len += (size_t)n;
        } while (n > 0 && out->len <= CREDENTIALS_MAX);
        if (file)
                close(fd);
        if (n < 0)
                return command_fail(FAILED,
                                    "cannot read the credentials (check their file, or standard input)");
        if (out->len > CREDENTIALS_MAX)
                return command_fail(FAILED, "the credentials are longer than 1 MiB: send less");
        return 0;
}

/* Error messages must not contain any part of the credentials. */
static int validate_credentials(struct slice text)
{
        struct json_scratch scratch = {0};
        struct json_reader reader;
        struct json_value value;
        int status = 0;

        json_reader_init(&reader, text, &scratch);
        if (!json_read(&reader, &value) || !json_finish(&reader))
                status = command_fail(FAILED, "the credentials are no valid JSON (%s): give a JSON object",
                                      reader.error);
        else if (value.type != JSON_OBJECT)
                status = command_fail(FAILED, "the credentials must be a JSON object");
        if (scratch.text.data)
                explicit_bzero(scratch.text.data, scratch.text.cap);
        json_scratch_deinit(&scratch);
        return status;
}

static int insert_connection(const struct config *config, const struct platform_connection_new *row)
{
        char text[UUID_TEXT_LEN + 1];
        struct uuid id;
        struct db db;
        int status = command_open_database(&db, config);
        int err = status ? ERR_DB : platform_connection_insert(&db, row, &id);

        if (err == 0) {
                uuid_format(&id, text);
                puts(text);
        } else if (err == ERR_EXISTS) {
                status = command_fail(
                        FAILED, "a connection with this id already exists: omit --id or choose another");
        } else if (err == ERR_INVALID) {
                status = command_fail(FAILED, "the database refuses the credentials: %s: change them",
                                      db.error);
        } else if (status == 0) {
                status = command_fail_db(&db, "cannot store the connection");
        }
        db_close(&db);
        return status;
}

int command_connection_create(const struct config *config, const char *platform, const char *id,
                              const char *file)
{
        struct platform_connection_new row = {0};
        struct buf input = {0};
        struct uuid uuid;
        int status;

        if (!platform_parse(slice_str(platform), &row.platform))
                return command_fail(USAGE,
                                    "PLATFORM must be META, GOOGLE_ADS or TIKTOK; see boris-ingestd --help");
        if (id && !uuid_parse(slice_str(id), &uuid))
                return command_fail(USAGE, "--id must be a UUID; see boris-ingestd --help");
        row.id = id ? &uuid : NULL;
        status = read_credentials(file, &input);
        row.credentials = (struct slice){input.data, input.len};
        if (status == 0)
                status = validate_credentials(row.credentials);
        if (status == 0)
                status = insert_connection(config, &row);
        if (input.data)
                explicit_bzero(input.data, input.cap);
        buf_deinit(&input);
        return status;
}

int command_connection_list(const struct config *config)
{
        struct platform_connection_summary *list = NULL;
        size_t len = 0;
        struct db db;
        int status = command_open_database(&db, config);

        if (status == 0 && platform_connection_list(&db, &list, &len) != 0)
                status = command_fail_db(&db, "cannot list the connections");
        for (size_t i = 0; i < len; i++) {
                char id[UUID_TEXT_LEN + 1];
                char created[RFC3339_TEXT_BYTES];

                uuid_format(&list[i].id, id);
                rfc3339_format(list[i].created_at, created);
                printf("%s %-10s created %s, %lld ad accounts\n", id, platform_name(list[i].platform),
                       created, (long long)list[i].accounts);
        }
        free(list);
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

/* Asks the user for confirmation on standard error. */
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
