#include "wire/reject.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

const char *reject_code_name(enum reject_code code)
{
        static const char *const names[] = {
#define X(name, text) text,
                REJECT_MAP(X)
#undef X
        };

        return names[code];
}

void reject_set(struct reject *reject, enum reject_code code, const char *field, const char *fmt, ...)
{
        char message[2 * REJECT_MESSAGE_BYTES];
        va_list args;

        reject->code = code;
        utf8_excerpt(slice_str(field ? field : ""), reject->field, sizeof(reject->field));
        va_start(args, fmt);
        vsnprintf(message, sizeof(message), fmt, args);
        va_end(args);
        utf8_excerpt(slice_str(message), reject->message, sizeof(reject->message));
}
