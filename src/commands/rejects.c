/* Sends the records of a reject file to the daemon. */
#include "commands/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands/command.h"
#include "commands/delivery.h"
#include "commands/reject_entry.h"

enum { PIECE_BYTES = 256 * 1024 };

struct replay {
        struct reject_entries_file file;
        struct reject_filter filter;
        uint64_t skipped;  /* entries without a whole record */
        uint64_t filtered; /* entries that are not wanted */
};

static enum client_input read_piece(void *ctx, struct buf *out)
{
        struct replay *r = ctx;
        size_t enough = out->len + PIECE_BYTES;
        struct reject_entry entry;

        while (out->len < enough) {
                if (!reject_entries_next(&r->file, &entry))
                        return CLIENT_INPUT_END;
                if (!reject_filter_passes(&r->filter, &entry)) {
                        r->filtered++;
                } else if (!entry.record.ptr) {
                        r->skipped++;
                } else { /* a record holds no newline: it came as a line */
                        buf_put(out, entry.record.ptr, entry.record.len);
                        buf_put(out, "\n", 1);
                }
        }
        return CLIENT_INPUT_MORE;
}

static void print_left_out(const struct replay *r)
{
        uint64_t skipped = r->skipped + r->file.strangers;

        if (skipped > 0)
                printf("%" PRIu64 " line%s without a record left out\n", skipped, skipped == 1 ? "" : "s");
        if (r->filtered > 0)
                printf("%" PRIu64 " entr%s left out: not asked for\n", r->filtered,
                       r->filtered == 1 ? "y" : "ies");
}

int command_rejects_replay(const struct config *config, const char *path,
                           const struct delivery_options *options, const struct reject_options *wanted)
{
        struct replay r = {.skipped = 0};
        struct delivery_source source = {.name = path, .read = read_piece, .ctx = &r, .fd = -1};
        int status = reject_filter_read(wanted, &r.filter);

        if (status)
                return status;
        status = reject_entries_open(&r.file, path);
        if (status == DONE) {
                status = deliver(&source, config, options);
                if (!options->json)
                        print_left_out(&r);
                if (status == DONE && r.file.error)
                        status = command_fail(FAILED, "%s: %s: not all of it was read", path,
                                              strerror(r.file.error));
                else if (status == DONE && r.file.strangers > 0 && r.file.entries == 0)
                        status = command_fail(FAILED, "%s: no line of it is an entry of a reject file", path);
        }
        reject_entries_close(&r.file);
        return status;
}
