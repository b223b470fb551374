#include "base/utf8.h"

#include <string.h>

size_t utf8_sequence(const char *p, const char *end)
{
        const unsigned char *s = (const unsigned char *)p;
        size_t left = (size_t)(end - p);
        unsigned char lo = 0x80;
        unsigned char hi = 0xbf;
        size_t n;

        if (s[0] >= 0xc2 && s[0] <= 0xdf) {
                n = 2;
        } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
                n = 3;
                if (s[0] == 0xe0)
                        lo = 0xa0;
                if (s[0] == 0xed)
                        hi = 0x9f;
        } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
                n = 4;
                if (s[0] == 0xf0)
                        lo = 0x90;
                if (s[0] == 0xf4)
                        hi = 0x8f;
        } else {
                return 0;
        }
        if (left < n || s[1] < lo || s[1] > hi)
                return 0;
        for (size_t i = 2; i < n; i++) {
                if (s[i] < 0x80 || s[i] > 0xbf)
                        return 0;
        }
        return n;
}

/* Largest length up to @len at which @s can be cut between characters. @s is valid UTF-8 and longer than
 * @len. */
static size_t utf8_boundary(const char *s, size_t len)
{
        while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
                len--;
        return len;
}

const char *utf8_excerpt(struct slice text, char *out, size_t size)
{
        size_t len = text.len;

        if (len < size) {
                if (len)
                        memcpy(out, text.ptr, len);
                out[len] = '\0';
                return out;
        }
        len = utf8_boundary(text.ptr, size - sizeof("..."));
        memcpy(out, text.ptr, len);
        memcpy(out + len, "...", sizeof("..."));
        return out;
}
