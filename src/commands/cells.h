#ifndef CELLS_H
#define CELLS_H

#include <stddef.h>
#include <stdio.h>

/* How many cells of a terminal a text takes: two for East Asian wide characters (Unicode's UAX 11) and most emoji,
 * none for combining marks. Texts are valid UTF-8 without control characters. */
size_t cells_width(const char *text);

/* Prints the beginning of @text, which is wider than @width, and "…", at most @width cells together. Returns how many. */
size_t cells_put(FILE *out, const char *text, size_t width);

#endif
