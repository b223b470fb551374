#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>

#include "base/slice.h"

/* Whether @line is the first line of an HTTP request, of any method and version (RFC 9112, section 3; HTTP/2's
 * preface is one, too). No line that might be a record is one. @cut: the line goes on behind its @line. */
bool http_request_begins(struct slice line, bool cut);

#endif
