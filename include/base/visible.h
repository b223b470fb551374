#ifndef VISIBLE_H
#define VISIBLE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* The one way of foreign text (of clients, the database, files) to a terminal or the log. What is not seen itself
 * but changes what is seen is shown as '?': C0 and C1 controls and DEL, which move the cursor and change colours;
 * what turns the direction of writing around or has no width; and bytes that are no UTF-8, which some terminals
 * take for C1. */

void visible_put(FILE *out, const char *text);

/* The same with a format, in which nothing is a line's end, but with a newline at last. */
void visible_print_line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void visible_vprint_line(FILE *out, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

/* Copies @text to @out, cut to fit @size bytes with its NUL, not inside a character. Returns @out, which may be
 * @text: what is shown is never longer. */
char *visible_copy(const char *text, char *out, size_t size);

/* Characters in @text, which is valid UTF-8. */
size_t visible_length(const char *text);

#endif
