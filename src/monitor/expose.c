#include "monitor/expose.h"

#include <stdarg.h>
#include <stdio.h>

void expose(struct buf *out, const char *fmt, ...)
{
        enum { ROOM = 1024 };
        va_list args;
        int len;

        va_start(args, fmt);
        len = vsnprintf(buf_reserve(out, ROOM), ROOM, fmt, args);
        va_end(args);
        out->len += len < ROOM ? (size_t)len : ROOM - 1;
}

void expose_family(struct buf *out, const char *name, const char *type, const char *help)
{
        expose(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}
