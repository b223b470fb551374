#ifndef SCREEN_H
#define SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "commands/top_view.h"

/* The window of `top`, which is written line by line: no text can move the cursor, what is too wide ends with "…", and
 * what is below the window is left out. */

enum screen_style { PLAIN, BOLD, DIM, GOOD, WARN, BAD };

enum {
        SCREEN_TEXT_BYTES = 2048, /* longest text that is put at once */
        SCREEN_LINE_BYTES = 4096,
        SCREEN_PIECES_MAX = 64, /* of a line */
        SCREEN_LABEL_COLUMNS = 11,
};

/* A part of the line that is being written. */
struct screen_piece {
        size_t at; /* in text, where it begins */
        enum screen_style style;
};

struct screen {
        const struct top_window *window;
        struct buf *out;
        unsigned row;
        char text[SCREEN_LINE_BYTES];
        size_t len;
        struct screen_piece pieces[SCREEN_PIECES_MAX];
        size_t pieces_len;
};

/* Writes regardless of the window. */
void screen_raw(struct screen *s, const char *text);

unsigned screen_width(const struct screen *s);

/* The last row for lines: the window's own last row is the footer's. */
unsigned screen_last_row(const struct screen *s);

/* True if the line is below the last row, and so not written. */
bool screen_is_below(const struct screen *s);

/* True if the window is so low that the layout is denser. */
bool screen_is_low(const struct screen *s);

/* Starts a line. */
void screen_line(struct screen *s);

/* Ends the last line. */
void screen_flush(struct screen *s);

/* Leaves a line empty, unless the window is low. */
void screen_gap(struct screen *s);

void screen_put(struct screen *s, enum screen_style style, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

void screen_spaces(struct screen *s, size_t n);

/* Starts a line with a label. */
void screen_label(struct screen *s, const char *text);

/* Puts a text in @width columns, cut or filled. Its width may differ from its length in bytes. */
void screen_cell(struct screen *s, enum screen_style style, const char *text, size_t width, bool right);

#endif
