#ifndef VISIBLE_H
#define VISIBLE_H

#include <stddef.h>
#include <stdio.h>

/* Texts from outside on a terminal: what moves the cursor, changes colours or worse is shown as '?', that is
 * C0 and C1 controls, DEL, and bytes that are no UTF-8, which some terminals take for C1. */

void visible_put(FILE *out, const char *text);

/* Copies @text to @out, cut to fit @size bytes with its NUL, not inside a character. Returns @out. */
char *visible_copy(const char *text, char *out, size_t size);

/* Characters in @text, which is valid UTF-8. */
size_t visible_length(const char *text);

#endif
