#include "base/json_put.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static void put_escaped(struct buf *out, char c)
{
        char text[8];

        if (c == '"' || c == '\\')
                snprintf(text, sizeof(text), "\\%c", c);
        else
                snprintf(text, sizeof(text), "\\u%04x", (unsigned)(unsigned char)c);
        buf_put(out, text, strlen(text));
}

bool json_put_string(struct buf *out, struct slice text)
{
        const char *p = text.ptr;
        const char *end = p + text.len;
        bool valid = true;

        buf_put(out, "\"", 1);
        while (p < end) {
                const char *plain = p;
                size_t n;

                while (p < end && (unsigned char)*p < 0x80 && (unsigned char)*p >= 0x20 && *p != '"' &&
                       *p != '\\')
                        p++;
                buf_put(out, plain, (size_t)(p - plain));
                if (p == end)
                        break;
                n = (unsigned char)*p >= 0x80 ? utf8_sequence(p, end) : 0;
                if (n > 0) {
                        buf_put(out, p, n);
                        p += n;
                } else if ((unsigned char)*p >= 0x80) {
                        buf_put(out, "\xef\xbf\xbd", 3);
                        valid = false;
                        p++;
                } else {
                        put_escaped(out, *p++);
                }
        }
        buf_put(out, "\"", 1);
        return valid;
}
