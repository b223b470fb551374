#include "commands/visible.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

/* What stands for the first character of @text, *ret_len bytes; @text moves behind it. */
static const char *next(const char **text, size_t *ret_len)
{
        const char *at = *text;
        const unsigned char *c = (const unsigned char *)at;
        bool ascii = c[0] < 0x80;
        size_t len = ascii ? 1 : utf8_sequence(at, at + strnlen(at, 4));
        bool control = c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0);

        *text += len > 0 ? len : 1;
        *ret_len = len > 0 && !control ? len : 1;
        return len > 0 && !control ? at : "?";
}

void visible_put(FILE *out, const char *text)
{
        while (*text) {
                size_t len;
                const char *shown = next(&text, &len);

                fwrite(shown, 1, len, out);
        }
}

char *visible_copy(const char *text, char *out, size_t size)
{
        size_t used = 0;

        while (*text) {
                size_t len;
                const char *shown = next(&text, &len);

                if (used + len >= size)
                        break;
                memcpy(out + used, shown, len);
                used += len;
        }
        out[used] = '\0';
        return out;
}

size_t visible_length(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}
