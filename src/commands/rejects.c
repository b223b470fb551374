/* Sends the records of a reject file to the daemon. */
#include "commands/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "base/buf.h"
#include "base/json.h"
#include "commands/command.h"
#include "commands/delivery.h"

enum { PIECE_BYTES = 256 * 1024 };

struct replay {
        FILE *file;
        off_t left; /* bytes of the file that are to be read: what it had at the start */
        char *line;
        size_t line_cap;
        struct json_scratch scratch;
        uint64_t skipped; /* lines that no record can be made of */
        uint64_t entries; /* lines that are entries of a reject file, with a record or without */
        int error;        /* errno: not all of the file could be read */
};

/* The record of a line of the file. False where there is none, or not all of it. */
static bool find_record(struct replay *r, struct slice line, struct json_string *ret)
{
        struct json_reader reader;
        struct json_string key;
        struct json_value value;
        bool found = false;
        bool lossy = false;
        bool entry = false;

        json_reader_init(&reader, line, &r->scratch);
        if (!json_object_open(&reader))
                return false;
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                if (!json_read(&reader, &value))
                        return false;
                lossy |= slice_eq(key.raw, SLICE_LIT("lossy")) || slice_eq(key.raw, SLICE_LIT("cut"));
                entry |= slice_eq(key.raw, SLICE_LIT("code"));
                if (slice_eq(key.raw, SLICE_LIT("record")) && value.type == JSON_STRING && !value.trouble) {
                        *ret = (struct json_string){value.raw, value.escaped};
                        found = true;
                }
        }
        if (!json_finish(&reader))
                return false;
        r->entries += entry;
        return found && !lossy;
}

/* Appends the record and a newline to what is to be sent. A record holds no newline: it came as a line. */
static void put_record(struct buf *out, struct json_string record)
{
        char *p = buf_reserve(out, record.raw.len + 1);
        size_t len = json_string_decode(record, p);

        p[len] = '\n';
        out->len += len + 1;
}

static enum client_input read_piece(void *ctx, struct buf *out)
{
        struct replay *r = ctx;
        size_t enough = out->len + PIECE_BYTES;

        while (out->len < enough) {
                ssize_t len = r->left > 0 ? getline(&r->line, &r->line_cap, r->file) : 0;
                struct json_string record;

                if (len <= 0) {
                        r->error = r->left > 0 && ferror(r->file) ? errno : 0;
                        return CLIENT_INPUT_END;
                }
                r->left -= len;
                if (len == 1)
                        continue; /* where a write of the daemon's failed */
                if (find_record(r, (struct slice){r->line, (size_t)len}, &record))
                        put_record(out, record);
                else
                        r->skipped++;
        }
        return CLIENT_INPUT_MORE;
}

int command_rejects_replay(const struct config *config, const char *path,
                           const struct delivery_options *options)
{
        struct replay r = {.file = fopen(path, "re")};
        struct delivery_source source = {.name = path, .read = read_piece, .ctx = &r, .fd = -1};
        struct stat st;
        int status;

        if (!r.file || fstat(fileno(r.file), &st) != 0) {
                status = command_fail(FAILED, "%s: %s", path, strerror(errno));
        } else {
                r.left = st.st_size;
                status = deliver(&source, config, options);
                if (r.skipped > 0 && !options->json)
                        printf("%" PRIu64 " line%s without a record left out\n", r.skipped,
                               r.skipped == 1 ? "" : "s");
                if (status == DONE && r.error)
                        status = command_fail(FAILED, "%s: %s: not all of it was read", path,
                                              strerror(r.error));
                else if (status == DONE && r.skipped > 0 && r.entries == 0)
                        status = command_fail(FAILED, "%s: no line of it is an entry of a reject file", path);
        }
        if (r.file)
                fclose(r.file);
        free(r.line);
        json_scratch_deinit(&r.scratch);
        return status;
}
