#ifndef CELLS_H
#define CELLS_H

#include <stddef.h>
#include <stdio.h>

/* Number of terminal cells that a text occupies: two for East Asian wide characters (Unicode's UAX 11) and
 * most emoji, none for combining marks. Texts are valid UTF-8 without control characters. */
size_t cells_width(const char *text);

/* Prints the beginning of @text, which is wider than @width, and "…", in at most @width cells. Returns their
 * number. */
size_t cells_put(FILE *out, const char *text, size_t width);

#endif
