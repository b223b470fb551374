#include "wire/http_request.h"

#include <ctype.h>
#include <string.h>

/* The characters of a method (RFC 9110, section 5.6.2). */
static bool is_token(unsigned char c)
{
        return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_space(char c)
{
        return c == ' ' || c == '\t';
}

/* True if the text ends in "HTTP/1.1" or the like, in either case. */
static bool has_version(const char *text, size_t len)
{
        while (len > 0 && (is_space(text[len - 1]) || text[len - 1] == '\r'))
                len--;
        while (len > 0 && (isdigit((unsigned char)text[len - 1]) || text[len - 1] == '.'))
                len--;
        return len >= 6 && is_space(text[len - 6]) && strncasecmp(text + len - 5, "HTTP/", 5) == 0;
}

bool http_request_begins(struct slice line, bool cut)
{
        const char *target;
        size_t method = 0;
        size_t space;

        while (method < line.len && is_token((unsigned char)line.ptr[method]))
                method++;
        for (space = method; space < line.len && is_space(line.ptr[space]); space++)
                ;
        if (method == 0 || space == method)
                return false;
        target = line.ptr + space;
        /* HTTP/0.9 has no version, and in a cut line it is missing */
        return cut || has_version(line.ptr, line.len) ||
               (space < line.len && (target[0] == '/' || target[0] == '*'));
}
