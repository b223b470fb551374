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

/* Whose lines they are: each sender's go over a connection of their own, on which the daemon judges them by that one's
 * rules, too. */
struct senders {
        char **names; /* "" for lines without one */
        size_t len;
};

struct replay {
        FILE *file;
        off_t size; /* what the file had at the start */
        off_t left; /* bytes of it that are to be read */
        char *line;
        size_t line_cap;
        struct json_scratch scratch;
        struct senders senders;
        const char *sender; /* whose records are sent now */
        uint64_t skipped;   /* lines that no record can be made of */
        uint64_t entries;   /* lines that are entries of a reject file, with a record or without */
        int error;          /* errno: not all of the file could be read */
};

/* An entry of the file. */
struct entry {
        bool is_entry;
        bool has_record; /* and all of it */
        struct json_string record;
        struct slice sender;
};

/* False where the line is no JSON object. */
static bool read_entry(struct replay *r, struct slice line, struct entry *ret)
{
        struct json_reader reader;
        struct json_string key;
        struct json_value value;
        bool lossy = false;

        *ret = (struct entry){.sender = SLICE_LIT("")};
        json_reader_init(&reader, line, &r->scratch);
        if (!json_object_open(&reader))
                return false;
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                if (!json_read(&reader, &value))
                        return false;
                lossy |= slice_eq(key.raw, SLICE_LIT("lossy")) || slice_eq(key.raw, SLICE_LIT("cut"));
                ret->is_entry |= slice_eq(key.raw, SLICE_LIT("code"));
                if (value.type != JSON_STRING || value.trouble)
                        continue;
                if (slice_eq(key.raw, SLICE_LIT("record"))) {
                        ret->record = (struct json_string){value.raw, value.escaped};
                        ret->has_record = true;
                } else if (slice_eq(key.raw, SLICE_LIT("client"))) {
                        ret->sender = value.raw; /* a section's name has nothing to escape */
                }
        }
        ret->has_record &= !lossy;
        return json_finish(&reader);
}

/* Appends the record and a newline to what is to be sent. A record holds no newline: it came as a line. */
static void put_record(struct buf *out, struct json_string record)
{
        char *p = buf_reserve(out, record.raw.len + 1);
        size_t len = json_string_decode(record, p);

        p[len] = '\n';
        out->len += len + 1;
}

static void rewind_file(struct replay *r)
{
        rewind(r->file);
        r->left = r->size;
}

/* The next line that is not empty; false at the end. */
static bool next_line(struct replay *r, struct slice *ret)
{
        ssize_t len;

        do {
                len = r->left > 0 ? getline(&r->line, &r->line_cap, r->file) : 0;
                if (len <= 0) {
                        r->error = r->left > 0 && ferror(r->file) ? errno : 0;
                        return false;
                }
                r->left -= len;
        } while (len == 1); /* where a write of the daemon's failed */
        *ret = (struct slice){r->line, (size_t)len};
        return true;
}

static void note_sender(struct senders *s, struct slice name)
{
        for (size_t i = 0; i < s->len; i++) {
                if (slice_eq(slice_str(s->names[i]), name))
                        return;
        }
        s->names = realloc(s->names, (s->len + 1) * sizeof(*s->names));
        if (!s->names || !(s->names[s->len] = strndup(name.ptr, name.len)))
                abort();
        s->len++;
}

static void find_senders(struct replay *r)
{
        struct entry entry;
        struct slice line;

        rewind_file(r);
        while (next_line(r, &line)) {
                bool good = read_entry(r, line, &entry);

                r->entries += good && entry.is_entry;
                if (good && entry.has_record)
                        note_sender(&r->senders, entry.sender);
                else
                        r->skipped++;
        }
        if (r->senders.len == 0)
                note_sender(&r->senders, SLICE_LIT(""));
}

static enum client_input read_piece(void *ctx, struct buf *out)
{
        struct replay *r = ctx;
        size_t enough = out->len + PIECE_BYTES;

        while (out->len < enough) {
                struct entry entry;
                struct slice line;

                if (!next_line(r, &line))
                        return CLIENT_INPUT_END;
                if (read_entry(r, line, &entry) && entry.has_record &&
                    slice_eq(entry.sender, slice_str(r->sender)))
                        put_record(out, entry.record);
        }
        return CLIENT_INPUT_MORE;
}

/* Of one sender after the other. */
static int replay_all(struct replay *r, const char *path, const struct config *config,
                      const struct delivery_options *options)
{
        int status = DONE;

        for (size_t i = 0; i < r->senders.len; i++) {
                struct delivery_source source = {.name = path, .read = read_piece, .ctx = r, .fd = -1};
                char hello[160];
                int one;

                r->sender = r->senders.names[i];
                rewind_file(r);
                if (r->sender[0]) {
                        snprintf(
                                hello, sizeof(hello),
                                "{\"kind\":\"hello\",\"client\":\"boris-ingestd\",\"onBehalfOf\":\"%.64s\"}\n",
                                r->sender);
                        source.preamble = hello;
                }
                if (r->sender[0] && r->senders.len > 1 && !options->json)
                        printf("records of client %s:\n", r->sender);
                one = deliver(&source, config, options);
                status = one > status ? one : status;
                if (!source.delivered)
                        break;
        }
        return status;
}

int command_rejects_replay(const struct config *config, const char *path,
                           const struct delivery_options *options)
{
        struct replay r = {.file = fopen(path, "re")};
        struct stat st;
        int status;

        if (!r.file || fstat(fileno(r.file), &st) != 0) {
                status = command_fail(FAILED, "%s: %s", path, strerror(errno));
        } else {
                r.size = st.st_size;
                find_senders(&r);
                status = replay_all(&r, path, config, options);
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
        for (size_t i = 0; i < r.senders.len; i++)
                free(r.senders.names[i]);
        free(r.senders.names);
        free(r.line);
        json_scratch_deinit(&r.scratch);
        return status;
}
