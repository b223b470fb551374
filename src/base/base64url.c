#include "base/base64url.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_put(struct buf *out, const void *data, size_t len)
{
        const unsigned char *p = data;
        char *to = buf_reserve(out, len / 3 * 4 + 4);
        char *start = to;

        for (size_t i = 0; i < len; i += 3) {
                size_t n = len - i < 3 ? len - i : 3;
                uint32_t bits =
                        (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);

                for (size_t k = 0; k <= n; k++)
                        *to++ = digits[bits >> (18 - 6 * k) & 63];
        }
        out->len += (size_t)(to - start);
}

bool base64url_read(struct buf *out, struct slice text)
{
        uint32_t bits = 0;
        unsigned have = 0; /* of these, not given out */
        char *to = buf_reserve(out, text.len);
        char *start = to;

        if (text.len % 4 == 1)
                return false;
        for (size_t i = 0; i < text.len; i++) {
                const char *digit = text.ptr[i] ? strchr(digits, text.ptr[i]) : NULL;

                if (!digit)
                        return false;
                bits = bits << 6 | (uint32_t)(digit - digits);
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        *to++ = (char)(bits >> have);
                }
        }
        out->len += (size_t)(to - start);
        return (bits & ((1U << have) - 1)) == 0;
}
