#include "base/wildcard.h"

#include <stddef.h>

static const char *after_character(const char *text)
{
        do
                text++;
        while ((*text & 0xc0) == 0x80); /* a byte that continues a character of UTF-8 */
        return text;
}

/* If the text after a "*" does not match, only the last "*" can stand for more. */
bool wildcard_matches(const char *pattern, const char *text)
{
        const char *after_star = NULL;
        const char *star_end = NULL; /* what follows the text for which the last "*" stands */

        while (*text) {
                if (*pattern == '*') {
                        after_star = ++pattern;
                        star_end = text;
                } else if (*pattern == '?') {
                        pattern++;
                        text = after_character(text);
                } else if (*pattern == *text) {
                        pattern++;
                        text++;
                } else if (after_star) {
                        pattern = after_star;
                        star_end = after_character(star_end);
                        text = star_end;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}
