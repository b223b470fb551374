#include "reject.h"

#include <stdarg.h>
#include <stdio.h>

const char *reject_code_name(enum reject_code code)
{
        static const char *const names[] = {
#define X(name, text) text,
                REJECT_MAP(X)
#undef X
        };

        return names[code];
}

/* The largest length up to @len that does not end inside a UTF-8 sequence of the valid text @s, of which more
 * than @len bytes exist. */
static size_t utf8_boundary(const char *s, size_t len)
{
        while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
                len--;
        return len;
}

const char *reject_excerpt(struct slice text, char *out, size_t size)
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

void reject_set(struct reject *reject, enum reject_code code, const char *field, const char *fmt, ...)
{
        char message[2 * REJECT_MESSAGE_BYTES];
        va_list args;

        reject->code = code;
        reject_excerpt(slice_str(field ? field : ""), reject->field, sizeof(reject->field));
        va_start(args, fmt);
        vsnprintf(message, sizeof(message), fmt, args);
        va_end(args);
        reject_excerpt(slice_str(message), reject->message, sizeof(reject->message));
}
