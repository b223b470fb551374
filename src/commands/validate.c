/* Judges the lines of a file with the daemon's own code. Without a database: whatever depends on each line
 * alone. Against a database: also what the daemon would do with the lines. Nothing is written.
 *
 * The file is read piece by piece. The lines of a piece are judged, then their outcomes are printed in
 * order, then the piece's memory is reused. */
#include "commands/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "commands/against.h"
#include "commands/command.h"
#include "daemon/decoded.h"
#include "wire/frame.h"

enum { PIECE_BYTES = 1024 * 1024 };

struct validation {
        int fd;
        const char *name; /* for people */
        bool json;
        size_t max_line_bytes;
        struct against *against; /* NULL: no database is used */
        struct field_reader reader;
        struct receipt_clock clock;
        struct receipts receipts;
        struct frame frame;
        struct buf in; /* read, not yet judged */
        bool ended;    /* the end of the file was reached */
        struct judged *judged;
        size_t judged_len;
        size_t judged_cap;
        uint64_t lines;
        uint64_t counts[LINE_OUTCOMES];
};

/* --- a piece's lines --- */

static struct judged *add_line(struct validation *v)
{
        if (v->judged_len == v->judged_cap)
                v->judged = array_grow(v->judged, &v->judged_cap, sizeof(*v->judged));
        v->judged[v->judged_len] = (struct judged){.line = ++v->lines, .outcome = LINE_STORED};
        return &v->judged[v->judged_len++];
}

static void judge_line(struct validation *v, struct slice text)
{
        struct judged *j = add_line(v);
        struct line line = {.text = text, .number = j->line, .receipt = receipts_next(&v->receipts, 0)};
        struct decoded decoded;
        struct reject reject;

        if (line.text.len == 0)
                j->outcome = LINE_EMPTY;
        else if (!decoded_read(&v->reader, &line, &decoded, &reject))
                judged_reject(j, &reject);
        else if (decoded.kind == RECORD_HELLO)
                j->outcome = LINE_EMPTY;
        else if (v->against)
                against_judge(v->against, v->judged, v->judged_len - 1, &decoded);
}

static void judge_long_line(struct validation *v)
{
        struct reject reject;

        decoded_reject_long(&reject, v->max_line_bytes);
        judged_reject(add_line(v), &reject);
}

/* Judges all complete lines read so far, and keeps the beginning of the next. */
static void judge_piece(struct validation *v)
{
        struct slice in = {v->in.data, v->in.len};
        struct slice line;
        enum frame_result result;
        size_t used;

        do {
                result = frame_next(&v->frame, in, v->max_line_bytes, v->ended, &line, &used);
                if (result == FRAME_LINE)
                        judge_line(v, line);
                else if (result == FRAME_TOO_LONG)
                        judge_long_line(v);
                in.ptr += used;
                in.len -= used;
        } while (in.len > 0 && (result != FRAME_MORE || used > 0));
        if (v->against)
                against_finish(v->against, v->judged);
        if (in.len > 0)
                memmove(v->in.data, in.ptr, in.len);
        v->in.len = in.len;
}

static void print_piece(struct validation *v)
{
        for (size_t i = 0; i < v->judged_len; i++) {
                struct judged *j = &v->judged[i];

                v->counts[j->outcome]++;
                if (!j->reject)
                        continue;
                command_print_reject(v->json, j->line, reject_code_name(j->reject->code), j->reject->field,
                                     j->reject->message);
                free(j->reject);
        }
        v->judged_len = 0;
}

/* --- the file --- */

/* Returns false, with errno, on a read error. */
static bool read_piece(struct validation *v)
{
        char *p = buf_reserve(&v->in, PIECE_BYTES);
        ssize_t n = read(v->fd, p, PIECE_BYTES);

        if (n < 0)
                return errno == EINTR;
        v->in.len += (size_t)n;
        v->ended = n == 0;
        return true;
}

static int validate(struct validation *v)
{
        while (!v->ended) {
                if (!read_piece(v))
                        return command_fail(FAILED, "cannot read %s: %s", v->name, strerror(errno));
                judge_piece(v);
                if (v->against && against_failed(v->against))
                        return command_fail_db(against_failed(v->against), "cannot ask the database");
                print_piece(v);
        }
        return DONE;
}

static void print_totals(const struct validation *v)
{
        const uint64_t *n = v->counts;

        if (v->json && v->against)
                printf("{\"lines\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64
                       ",\"rejected\":%" PRIu64 ",\"empty\":%" PRIu64 "}\n",
                       v->lines, n[LINE_STORED], n[LINE_DUPLICATE], n[LINE_REJECTED], n[LINE_EMPTY]);
        else if (v->json)
                printf("{\"lines\":%" PRIu64 ",\"valid\":%" PRIu64 ",\"rejected\":%" PRIu64
                       ",\"empty\":%" PRIu64 "}\n",
                       v->lines, n[LINE_STORED], n[LINE_REJECTED], n[LINE_EMPTY]);
        else if (v->against)
                printf("%" PRIu64 " lines: %" PRIu64 " would be stored, %" PRIu64 " duplicate, %" PRIu64
                       " rejected",
                       v->lines, n[LINE_STORED], n[LINE_DUPLICATE], n[LINE_REJECTED]);
        else
                printf("%" PRIu64 " lines: %" PRIu64 " valid, %" PRIu64 " rejected", v->lines, n[LINE_STORED],
                       n[LINE_REJECTED]);
        if (!v->json && n[LINE_EMPTY] > 0)
                printf(", %" PRIu64 " empty", n[LINE_EMPTY]);
        if (!v->json)
                putchar('\n');
}

static int run(struct validation *v)
{
        int status = validate(v);

        if (status != DONE)
                return status;
        print_totals(v);
        if (v->counts[LINE_REJECTED] > 0)
                return command_fail(FAILED, COMMAND_REJECTED_FORMAT, v->counts[LINE_REJECTED], v->lines);
        return DONE;
}

int command_validate(const struct config *config, const char *path, const struct validate_options *options)
{
        bool is_stdin = strcmp(path, "-") == 0;
        struct validation v = {
                .fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
                .name = is_stdin ? "standard input" : path,
                .json = options->json,
                .max_line_bytes = config->limits.max_line_bytes,
                .reader = decoded_reader(config->limits.max_line_bytes),
                .clock = {.now_us = clock_now_us},
        };
        struct against against;
        int status = DONE;

        if (v.fd < 0)
                return command_fail(FAILED, "%s: %s", path, strerror(errno));
        receipts_init(&v.receipts, &v.clock);
        if (options->against_database) {
                v.against = &against;
                status = against_open(&against, config);
        }
        if (status == DONE)
                status = run(&v);
        if (v.against)
                against_close(v.against);
        if (!is_stdin)
                close(v.fd);
        for (size_t i = 0; i < v.judged_len; i++)
                free(v.judged[i].reject);
        free(v.judged);
        buf_deinit(&v.in);
        field_reader_deinit(&v.reader);
        return status;
}
