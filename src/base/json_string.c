#include "base/json.h"
#include "base/json_escape.h"

static size_t put_utf8(char *out, int32_t u)
{
        if (u < 0x80) {
                out[0] = (char)u;
                return 1;
        }
        if (u < 0x800) {
                out[0] = (char)(0xc0 | u >> 6);
                out[1] = (char)(0x80 | (u & 0x3f));
                return 2;
        }
        if (u < 0x10000) {
                out[0] = (char)(0xe0 | u >> 12);
                out[1] = (char)(0x80 | (u >> 6 & 0x3f));
                out[2] = (char)(0x80 | (u & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | u >> 18);
        out[1] = (char)(0x80 | (u >> 12 & 0x3f));
        out[2] = (char)(0x80 | (u >> 6 & 0x3f));
        out[3] = (char)(0x80 | (u & 0x3f));
        return 4;
}

/* Decodes the \u escape whose digits start at @p; returns the position after the escape. */
static const char *decode_unicode(const char *p, const char *end, char *out, size_t *len)
{
        int32_t u = hex4(p, end);

        p += 4;
        if (is_high_surrogate(u) && end - p >= 6) {
                int32_t low = hex4(p + 2, end);

                if (is_low_surrogate(low)) {
                        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
                        p += 6;
                }
        }
        *len += put_utf8(out + *len, u);
        return p;
}

size_t json_string_decode(struct json_string s, char *out)
{
        const char *p = s.raw.ptr;
        const char *end = p + s.raw.len;
        size_t len = 0;

        if (!s.escaped) {
                if (s.raw.len)
                        memcpy(out, s.raw.ptr, s.raw.len);
                return s.raw.len;
        }
        while (p < end) {
                static const char from[] = "\"\\/bfnrt";
                static const char to[] = "\"\\/\b\f\n\r\t";

                if (*p != '\\') {
                        out[len++] = *p++;
                        continue;
                }
                p++;
                if (*p == 'u') {
                        p = decode_unicode(p + 1, end, out, &len);
                        continue;
                }
                out[len++] = to[strchr(from, *p) - from];
                p++;
        }
        return len;
}
