#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>

#include "base/slice.h"

/* True if @line is the first line of an HTTP request, of any method and version, HTTP/2's preface included
 * (RFC 9112, section 3). Never true for a line that could be a record. @cut: @line is only the beginning of
 * the line. */
bool http_request_begins(struct slice line, bool cut);

#endif
