#ifndef VISIBLE_H
#define VISIBLE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Every untrusted text (from clients, the database, files) goes through here to a terminal or the log. It
 * replaces with '?' whatever is invisible but changes the display: C0 and C1 controls and DEL, which move
 * the cursor and set colours; characters that change the writing direction or have no width; and bytes that
 * are not UTF-8, which some terminals read as C1. */

void visible_put(FILE *out, const char *text);

/* As visible_put, with a format. Line feeds in the text are replaced; one is added at the end. */
void visible_print_line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void visible_vprint_line(FILE *out, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

/* Copies @text to @out with a NUL, cut between characters to fit @size bytes. Returns @out, which may be
 * @text: the result is never longer than the text. */
char *visible_copy(const char *text, char *out, size_t size);

/* Number of characters in @text, which must be valid UTF-8. */
size_t visible_length(const char *text);

#endif
