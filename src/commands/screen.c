#include "commands/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/visible.h"

enum {
        ROWS_FEW = 32,         /* below this height the window is low */
        COLUMNS_UNBOUND = 120, /* assumed width for what adapts to the window */
};

void screen_raw(struct screen *s, const char *text)
{
        buf_put(s->out, text, strlen(text));
}

unsigned screen_width(const struct screen *s)
{
        return s->window->columns ? s->window->columns : COLUMNS_UNBOUND;
}

unsigned screen_last_row(const struct screen *s)
{
        return s->window->rows > 1 ? s->window->rows - 1 : s->window->rows;
}

bool screen_is_below(const struct screen *s)
{
        return s->window->rows > 0 && s->row > screen_last_row(s);
}

/* Where the first @columns characters of @text end. */
static size_t bytes_of(const char *text, size_t columns)
{
        const char *p = text;

        for (; *p; p++) {
                if (((unsigned char)*p & 0xc0) != 0x80 && columns-- == 0)
                        break;
        }
        return (size_t)(p - text);
}

/* Writes the pieces of the line up to the byte @end. */
static void put_pieces(struct screen *s, size_t end)
{
        static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};

        for (size_t i = 0; i < s->pieces_len && s->pieces[i].at < end; i++) {
                size_t at = s->pieces[i].at;
                size_t next = i + 1 < s->pieces_len && s->pieces[i + 1].at < end ? s->pieces[i + 1].at : end;
                bool styled = s->window->color && s->pieces[i].style != PLAIN;

                screen_raw(s, styled ? codes[s->pieces[i].style] : "");
                buf_put(s->out, s->text + at, next - at);
                screen_raw(s, styled ? "\033[0m" : "");
        }
}

void screen_flush(struct screen *s)
{
        size_t end = s->len;

        while (end > 0 && s->text[end - 1] == ' ')
                end--;
        s->text[end] = '\0';
        if (s->window->columns > 0 && visible_length(s->text) > s->window->columns) {
                put_pieces(s, bytes_of(s->text, s->window->columns - 1));
                screen_raw(s, "…");
        } else {
                put_pieces(s, end);
        }
        s->len = 0;
        s->pieces_len = 0;
}

void screen_line(struct screen *s)
{
        if (!screen_is_below(s))
                screen_flush(s);
        s->row++;
        if (s->row > 1 && !screen_is_below(s))
                screen_raw(s, s->window->terminal ? "\033[K\r\n" : "\n");
}

bool screen_is_low(const struct screen *s)
{
        return s->window->rows > 0 && s->window->rows < ROWS_FEW;
}

void screen_gap(struct screen *s)
{
        if (!screen_is_low(s))
                screen_line(s);
}

void screen_put(struct screen *s, enum screen_style style, const char *fmt, ...)
{
        char text[SCREEN_TEXT_BYTES];
        char shown[SCREEN_TEXT_BYTES];
        va_list args;
        size_t len;

        if (screen_is_below(s) || s->pieces_len == SCREEN_PIECES_MAX)
                return;
        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        len = strlen(visible_copy(text, shown, sizeof(shown)));
        if (len >= sizeof(s->text) - s->len)
                return;
        s->pieces[s->pieces_len++] = (struct screen_piece){s->len, style};
        memcpy(s->text + s->len, shown, len);
        s->len += len;
}

void screen_spaces(struct screen *s, size_t n)
{
        screen_put(s, PLAIN, "%*s", (int)n, "");
}

void screen_label(struct screen *s, const char *text)
{
        screen_line(s);
        screen_put(s, DIM, "%-*s", SCREEN_LABEL_COLUMNS, text);
}

void screen_cell(struct screen *s, enum screen_style style, const char *text, size_t width, bool right)
{
        char shown[SCREEN_TEXT_BYTES];
        size_t len;

        visible_copy(text, shown, sizeof(shown));
        len = visible_length(shown);
        if (right && len < width)
                screen_spaces(s, width - len);
        if (len > width)
                screen_put(s, style, "%.*s…", (int)bytes_of(shown, width - 1), shown);
        else
                screen_put(s, style, "%s", shown);
        if (!right && len < width)
                screen_spaces(s, width - len);
}
