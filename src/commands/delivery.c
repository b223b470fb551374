#include "commands/delivery.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/units.h"
#include "commands/command.h"
#include "commands/human.h"
#include "commands/progress.h"
#include "base/visible.h"

enum { RETRY_SECONDS = 60, RETRY_SECONDS_MAX = 1000000, DRAW_MS = 100, TEXT_BYTES = 1024 };

struct delivery {
        struct client client;
        const struct delivery_source *source;
        bool json;
        bool bar;   /* standard error is a terminal: show a progress bar */
        bool drawn; /* the bar is on the screen */
        bool color;
        struct progress progress;
        int64_t begun_ms;
        int64_t drawn_ms;
        char trouble[TEXT_BYTES];
        bool warned;            /* the warning about lines that may be stored twice was printed */
        uint64_t before;        /* lines before the first one to be sent */
        uint64_t to_skip;       /* of these, still to be read */
        uint64_t skipped_bytes; /* of those that were */
};

/* --- signals --- */

static int stop_fd = -1;
static volatile sig_atomic_t stop_signal;

/* A second signal ends the process, by the default action. */
static void on_signal(int number)
{
        ssize_t n = write(stop_fd, &(uint64_t){1}, sizeof(uint64_t));

        stop_signal = number;
        (void)n; /* cannot fail for the first signal */
}

static void catch_signals(void)
{
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

        stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (stop_fd < 0)
                abort();
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}

/* --- the terminal --- */

static unsigned terminal_columns(void)
{
        struct winsize size;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void erase_bar(struct delivery *d)
{
        if (d->drawn)
                fputs("\r\033[K", stderr);
        d->drawn = false;
}

static void draw_bar(struct delivery *d)
{
        struct buf line = {0};

        buf_put(&line, "\r", 1);
        progress_put(&d->progress, terminal_columns() - 1, d->color, &line);
        buf_put(&line, "\033[K", 3);
        fwrite(line.data, 1, line.len, stderr);
        fflush(stderr);
        buf_deinit(&line);
        d->drawn = true;
}

/* --- callbacks of the client --- */

/* Drops what belongs to lines before the first one to be sent, of the bytes after @at. */
static void skip_lines(struct delivery *d, struct buf *out, size_t at)
{
        const char *start = out->data + at;
        const char *end = out->data + out->len;
        const char *p = start;

        while (d->to_skip > 0 && p < end) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));

                d->to_skip -= newline != NULL;
                p = newline ? newline + 1 : end;
        }
        d->skipped_bytes += (uint64_t)(p - start);
        memmove(out->data + at, p, (size_t)(end - p));
        out->len = at + (size_t)(end - p);
}

static enum client_input on_read(void *ctx, struct buf *out)
{
        struct delivery *d = ctx;
        size_t at = out->len;
        enum client_input input = d->source->read(d->source->ctx, out);

        if (d->to_skip > 0 && out->len > at)
                skip_lines(d, out, at);
        return input;
}

static void on_reject(void *ctx, const struct client_reject *reject)
{
        struct delivery *d = ctx;

        erase_bar(d);
        command_print_reject(d->json, d->before + reject->line, reject->code, reject->field, reject->message);
}

static void on_trouble(void *ctx, int pause_ms, uint64_t anonymous, uint64_t first)
{
        struct delivery *d = ctx;
        bool new = !d->progress.trouble;

        (void)pause_ms;
        snprintf(d->trouble, sizeof(d->trouble), "%s: trying again", d->client.error);
        d->progress.trouble = d->trouble;
        if (new)
                erase_bar(d);
        if (new)
                fprintf(stderr, "boris-ingestd: %s, for %" PRId64 " s\n", d->trouble,
                        d->client.options.retry_ms / 1000);
        if (anonymous == 0 || d->warned)
                return;
        d->warned = true;
        erase_bar(d);
        fprintf(stderr,
                "boris-ingestd: warning: unacked lines (the first: line %" PRIu64
                ") have neither collectedAt nor id: resending may store them twice\n",
                d->before + first);
}

static void on_turn(void *ctx)
{
        struct delivery *d = ctx;
        int64_t now = clock_monotonic_ms();

        if (d->client.connected)
                d->progress.trouble = NULL;
        if (!d->bar || now - d->drawn_ms < DRAW_MS)
                return;
        d->drawn_ms = now;
        d->progress.lines = d->client.counts.lines;
        d->progress.bytes = d->client.bytes + d->skipped_bytes;
        d->progress.rejected = d->client.counts.rejected;
        d->progress.spooled = d->client.counts.spooled;
        progress_update(&d->progress, (double)(now - d->begun_ms) / 1000);
        draw_bar(d);
}

/* --- the end --- */

static void print_totals(const struct delivery *d)
{
        const struct client_counts *c = &d->client.counts;
        uint64_t empty = c->lines - c->stored - c->duplicate - c->rejected - c->spooled;
        double seconds = (double)(clock_monotonic_ms() - d->begun_ms) / 1000;
        char a[HUMAN_BYTES];
        char b[HUMAN_BYTES];

        if (d->json) {
                printf("{\"lines\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64
                       ",\"rejected\":%" PRIu64 ",\"spooled\":%" PRIu64 ",\"empty\":%" PRIu64
                       ",\"connections\":%u,\"seconds\":%.3f}\n",
                       c->lines, c->stored, c->duplicate, c->rejected, c->spooled, empty,
                       d->client.connections, seconds);
                return;
        }
        printf("%" PRIu64 " lines: %" PRIu64 " stored, %" PRIu64 " duplicate, %" PRIu64 " rejected", c->lines,
               c->stored, c->duplicate, c->rejected);
        if (c->spooled > 0)
                printf(", %" PRIu64 " spooled", c->spooled);
        if (empty > 0)
                printf(", %" PRIu64 " empty", empty);
        printf(" in %s", human_span(seconds, a));
        if (seconds > 0)
                printf(", %s/s", human_short((double)c->lines / seconds, b));
        putchar('\n');
}

static int tell_end(const struct delivery *d, enum client_end end)
{
        const struct client *c = &d->client;
        const char *name = d->source->name;
        uint64_t lines = d->before + c->counts.lines;
        char settled[128] = "nothing is settled";

        if (c->counts.lines > 0)
                snprintf(settled, sizeof(settled), "the first %" PRIu64 " lines are settled", lines);
        switch (end) {
        case CLIENT_STOPPED:
                return command_fail(128 + stop_signal,
                                    "interrupted: %s of %s (continue with --from-line %" PRIu64 ")", settled,
                                    name, lines + 1);
        case CLIENT_NO_INPUT:
                return command_fail(FAILED, "cannot read on from %s: %s: %s", name, d->source->error,
                                    settled);
        case CLIENT_FAILED:
                return command_fail(FAILED, "%s: %s: %s of %s: %s",
                                    c->options.path ? c->options.path : c->options.tcp, c->error, settled,
                                    name, c->connections ? "send it again" : "does the daemon run?");
        case CLIENT_DONE:
                break;
        }
        if (d->to_skip > 0)
                return command_fail(FAILED, "%s has no line %" PRIu64, name, d->before + 1);
        if (c->counts.rejected > 0)
                return command_fail(FAILED, COMMAND_REJECTED_FORMAT, c->counts.rejected, c->counts.lines);
        return DONE;
}

/* Returns 0, or USAGE after printing the error. */
static int read_options(const struct config *config, const struct delivery_options *options,
                        struct client_options *ret)
{
        uint64_t retry_ms = RETRY_SECONDS * 1000;
        char host[ADDRESS_HOST_BYTES];
        const char *port;

        if (options->socket && options->tcp)
                return command_fail(USAGE, "give either --socket or --tcp; see boris-ingestd --help");
        if (options->tcp && !address_split(options->tcp, host, &port))
                return command_fail(USAGE, "--tcp must be host:port or [v6]:port; see boris-ingestd --help");
        if (options->retry && (!units_duration(options->retry, 1000, &retry_ms) ||
                               retry_ms > RETRY_SECONDS_MAX * UINT64_C(1000)))
                return command_fail(USAGE,
                                    "--retry must be seconds from 0 to %d, or a duration like 30s or 1h; see "
                                    "boris-ingestd --help",
                                    RETRY_SECONDS_MAX);
        ret->path = options->tcp ? NULL : options->socket ? options->socket : config->listen.unix_path;
        ret->tcp = options->tcp;
        ret->retry_ms = (int64_t)retry_ms;
        ret->retry_at_first = options->retry != NULL;
        if (ret->path && !ret->path[0])
                return command_fail(FAILED,
                                    "listen.unix is empty: give the daemon's address with --socket or --tcp");
        return DONE;
}

static int read_from_line(const char *text, uint64_t *ret_before)
{
        const char *end = units_number(text, ret_before);

        if (!end || *end || *ret_before == 0)
                return command_fail(USAGE,
                                    "--from-line must be a line's number, from 1; see boris-ingestd --help");
        --*ret_before;
        return DONE;
}

int deliver(struct delivery_source *source, const struct config *config,
            const struct delivery_options *options)
{
        static const struct client_ops ops = {on_read, on_reject, on_trouble, on_turn, NULL};
        const char *no_color = getenv("NO_COLOR");
        struct client_options client_options = {.input_fd = source->fd, .hello = source->hello};
        struct delivery d = {.source = source, .json = options->json};
        int status = read_options(config, options, &client_options);
        enum client_end end;

        if (status == DONE && options->from_line)
                status = read_from_line(options->from_line, &d.before);
        if (status != DONE)
                return status;
        d.to_skip = d.before;
        d.bar = isatty(STDERR_FILENO) && !command_terminal_is_dumb();
        d.color = !no_color || !no_color[0];
        d.progress.name = source->name;
        d.progress.bytes_total = source->bytes_total;
        d.begun_ms = clock_monotonic_ms();
        setvbuf(stdout, NULL, _IOLBF, 0); /* show each reject immediately */
        catch_signals();
        client_options.stop_fd = stop_fd;
        client_options.turn_ms = d.bar ? DRAW_MS : -1;
        client_init(&d.client, &client_options, &ops, &d);
        end = client_run(&d.client);
        source->delivered = end == CLIENT_DONE;
        erase_bar(&d);
        print_totals(&d);
        status = tell_end(&d, end);
        client_deinit(&d.client);
        close(stop_fd);
        return status;
}
