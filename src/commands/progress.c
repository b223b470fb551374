#include "commands/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "commands/human.h"
#include "base/visible.h"

enum { NAME_MAX_CHARACTERS = 24, BAR_MIN = 8, BAR_MAX = 40, PARTS = 6, PART_BYTES = 160 };

static const double SMOOTHED_SECONDS = 3; /* since acks arrive batch by batch */

void progress_update(struct progress *p, double seconds)
{
        double passed = seconds - p->seconds;
        double share;

        if (passed <= 0)
                return;
        /* plain average at first, exponential average later */
        share = passed / (seconds < SMOOTHED_SECONDS ? seconds : SMOOTHED_SECONDS + passed);
        p->lines_rate += ((double)(p->lines - p->lines_then) / passed - p->lines_rate) * share;
        p->bytes_rate += ((double)(p->bytes - p->bytes_then) / passed - p->bytes_rate) * share;
        p->lines_then = p->lines;
        p->bytes_then = p->bytes;
        p->seconds = seconds;
}

static void put_text(struct buf *out, const char *text)
{
        buf_put(out, text, strlen(text));
}

void progress_put_bar(double share, unsigned columns, struct buf *out)
{
        static const char *const parts[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        unsigned eighths = (unsigned)((share < 0 ? 0 : share > 1 ? 1 : share) * columns * 8 + 0.5);

        for (unsigned i = 0; i < columns; i++)
                put_text(out, i < eighths / 8 ? "█" : i == eighths / 8 ? parts[eighths % 8] : " ");
}

/* The parts of the line, most important first; parts that do not fit are left out. */
struct parts {
        char text[PARTS][PART_BYTES];
        size_t len;
};

static void add(struct parts *parts, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct parts *parts, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(parts->text[parts->len++], PART_BYTES, fmt, args);
        va_end(args);
}

static void add_parts(const struct progress *p, struct parts *parts)
{
        char a[HUMAN_BYTES];
        char b[HUMAN_BYTES];

        if (p->bytes_total > 0)
                add(parts, "%3u%%", (unsigned)((double)p->bytes / (double)p->bytes_total * 100));
        add(parts, "%s lines", human_count(p->lines, a));
        if (p->trouble)
                add(parts, "%.140s", p->trouble);
        else
                add(parts, "%s/s %s/s", human_short(p->lines_rate, a), human_size(p->bytes_rate, b));
        if (p->rejected > 0)
                add(parts, "%s rejected", human_count(p->rejected, a));
        if (!p->trouble && p->bytes_total > p->bytes && p->bytes_rate > 0)
                add(parts, "ETA %s", human_span((double)(p->bytes_total - p->bytes) / p->bytes_rate, a));
        if (p->spooled > 0)
                add(parts, "%s spooled", human_count(p->spooled, a));
}

static const char *color_of(const struct progress *p, const char *part)
{
        if (p->trouble && strncmp(part, p->trouble, strlen(part)) == 0)
                return "\033[33m";
        if (strstr(part, " rejected"))
                return "\033[31m";
        return NULL;
}

static void put_colored(struct buf *out, const char *color, const char *text)
{
        if (color)
                put_text(out, color);
        put_text(out, text);
        if (color)
                put_text(out, "\033[0m");
}

void progress_put(const struct progress *p, unsigned columns, bool color, struct buf *out)
{
        struct parts parts = {.len = 0};
        char name[NAME_MAX_CHARACTERS + 1];
        size_t used;
        size_t fitting = 0;
        unsigned bar = 0;

        visible_copy(p->name, name, sizeof(name));
        add_parts(p, &parts);
        used = visible_length(name);
        while (fitting < parts.len && used + 2 + visible_length(parts.text[fitting]) <= columns)
                used += 2 + visible_length(parts.text[fitting++]);
        if (used > columns)
                return;
        if (p->bytes_total > 0 && used + 2 + BAR_MIN <= columns)
                bar = columns - (unsigned)used - 2 > BAR_MAX ? BAR_MAX : columns - (unsigned)used - 2;
        put_text(out, name);
        if (bar > 0) {
                put_text(out, color ? "  \033[32m" : "  ");
                progress_put_bar((double)p->bytes / (double)p->bytes_total, bar, out);
                put_text(out, color ? "\033[0m" : "");
        }
        for (size_t i = 0; i < fitting; i++) {
                put_text(out, "  ");
                put_colored(out, color ? color_of(p, parts.text[i]) : NULL, parts.text[i]);
        }
}
