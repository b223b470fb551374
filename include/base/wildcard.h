#ifndef WILDCARD_H
#define WILDCARD_H

#include <stdbool.h>

/* True if @pattern matches all of @text, which is UTF-8: "*" stands for any text, the empty one included, "?" for
 * one character; each other byte stands for itself. Takes at most the product of both lengths in steps. */
bool wildcard_matches(const char *pattern, const char *text);

#endif
