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

/* True if the text ends in a version, as in "GET / HTTP/1.1", in either case. */
static bool has_version(const char *text, size_t len)
{
        while (len > 0 && (is_space(text[len - 1]) || text[len - 1] == '\r'))
                len--;
        while (len > 0 && (isdigit((unsigned char)text[len - 1]) || text[len - 1] == '.'))
                len--;
        return len >= 6 && is_space(text[len - 6]) && strncasecmp(text + len - 5, "HTTP/", 5) == 0;
}

/* True for the beginning of a path or of a URL. */
static bool has_target(const char *text, size_t len)
{
        return (len > 0 && text[0] == '/') || (len > 6 && strncasecmp(text, "http", 4) == 0);
}

bool http_request_begins(struct slice line, bool cut)
{
        size_t method = 0;
        size_t target;

        while (method < line.len && is_token((unsigned char)line.ptr[method]))
                method++;
        for (target = method; target < line.len && is_space(line.ptr[target]); target++)
                ;
        if (method == 0 || target == method)
                return false;
        if (has_version(line.ptr, line.len))
                return true;
        /* HTTP/0.9 knows GET only, and has no version; a cut line lacks its own */
        return (cut || (method == 3 && strncasecmp(line.ptr, "GET", 3) == 0)) &&
               has_target(line.ptr + target, line.len - target);
}
