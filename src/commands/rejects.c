/* Sends the records of a reject file to the daemon. */
#include "commands/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_put.h"
#include "commands/command.h"
#include "commands/delivery.h"
#include "commands/reject_entry.h"

enum { PIECE_BYTES = 256 * 1024 };

/* Whose lines they are: each sender's go over connections of their own, on which the daemon judges them by that one's rules,
 * too. */
struct senders {
        char **names; /* "" for lines without one */
        size_t len;
};

struct replay {
        struct reject_entries_file file;
        struct senders senders;
        const char *sender; /* whose records are sent now */
        struct reject_filter filter;
        uint64_t skipped;  /* entries without a whole record */
        uint64_t filtered; /* entries that the filter excludes */
        bool is_reject_file;
};

static void note_sender(struct senders *s, const char *name)
{
        for (size_t i = 0; i < s->len; i++) {
                if (strcmp(s->names[i], name) == 0)
                        return;
        }
        s->names = realloc(s->names, (s->len + 1) * sizeof(*s->names));
        if (!s->names || !(s->names[s->len] = strdup(name)))
                abort();
        s->len++;
}

/* Reads all entries. Returns 0, or FAILED after reporting the error. */
static int find_senders(struct replay *r, const char *path)
{
        struct reject_entry entry;
        int status = reject_entries_open(&r->file, path);

        while (status == DONE && reject_entries_next(&r->file, &entry)) {
                if (!reject_filter_passes(&r->filter, &entry))
                        r->filtered++;
                else if (!entry.record.ptr)
                        r->skipped++;
                else
                        note_sender(&r->senders, entry.client);
        }
        if (r->senders.len == 0)
                note_sender(&r->senders, "");
        r->skipped += r->file.strangers;
        r->is_reject_file = r->file.strangers == 0 || r->file.entries > 0;
        return status;
}

static enum client_input read_piece(void *ctx, struct buf *out)
{
        struct replay *r = ctx;
        size_t enough = out->len + PIECE_BYTES;
        struct reject_entry entry;

        while (out->len < enough) {
                if (!reject_entries_next(&r->file, &entry))
                        return CLIENT_INPUT_END;
                if (!reject_filter_passes(&r->filter, &entry) || !entry.record.ptr ||
                    strcmp(entry.client, r->sender) != 0)
                        continue;
                buf_put(out, entry.record.ptr, entry.record.len); /* it holds no newline: it came as a line */
                buf_put(out, "\n", 1);
        }
        return CLIENT_INPUT_MORE;
}

static void print_left_out(const struct replay *r)
{
        uint64_t skipped = r->skipped;

        if (skipped > 0)
                printf("%" PRIu64 " line%s without a record left out\n", skipped, skipped == 1 ? "" : "s");
        if (r->filtered > 0)
                printf("%" PRIu64 " entr%s left out by the options\n", r->filtered,
                       r->filtered == 1 ? "y" : "ies");
}

/* The records of the file follow it, so that no record is taken for another protocol's first line. */
static void put_hello(struct buf *out, const char *sender)
{
        static const char start[] = "{\"kind\":\"hello\",\"client\":\"boris-ingestd\"";
        static const char on_behalf_of[] = ",\"onBehalfOf\":";

        buf_put(out, start, sizeof(start) - 1);
        if (sender[0]) {
                buf_put(out, on_behalf_of, sizeof(on_behalf_of) - 1);
                json_put_string(out, slice_str(sender));
        }
        buf_put(out, "}\n", sizeof("}\n"));
}

static int replay_sender(struct replay *r, const char *path, const struct config *config,
                         const struct delivery_options *options, bool *ret_delivered)
{
        struct delivery_source source = {.name = path, .read = read_piece, .ctx = r, .fd = -1};
        struct buf hello = {0};
        int status;

        put_hello(&hello, r->sender);
        source.hello = hello.data;
        if (r->sender[0] && r->senders.len > 1 && !options->json)
                printf("records of client %s:\n", r->sender);
        reject_entries_close(&r->file);
        status = reject_entries_open(&r->file, path);
        if (status == DONE)
                status = deliver(&source, config, options);
        if (status == DONE && r->file.error)
                status = command_fail(FAILED, "%s: %s: it was read only in part", path,
                                      strerror(r->file.error));
        *ret_delivered = source.delivered;
        buf_deinit(&hello);
        return status;
}

int command_rejects_replay(const struct config *config, const char *path,
                           const struct delivery_options *options, const struct reject_options *wanted)
{
        struct replay r = {.skipped = 0};
        bool delivered = true;
        int status = reject_filter_read(wanted, &r.filter);

        if (status)
                return status;
        status = find_senders(&r, path);
        for (size_t i = 0; i < r.senders.len && status != USAGE && delivered && r.file.stream; i++) {
                int one;

                r.sender = r.senders.names[i];
                one = replay_sender(&r, path, config, options, &delivered);
                status = one > status ? one : status;
        }
        if (r.file.stream && !options->json)
                print_left_out(&r);
        if (status == DONE && !r.is_reject_file)
                status = command_fail(FAILED, "%s: it has no entry of a reject file", path);
        reject_entries_close(&r.file);
        for (size_t i = 0; i < r.senders.len; i++)
                free(r.senders.names[i]);
        free(r.senders.names);
        return status;
}
