#ifndef HTTP_GET_H
#define HTTP_GET_H

#include "base/buf.h"
#include "client/connect.h"

/* Fetches @path of the HTTP server at @address, "host:port" or "[v6]:port", as HTTP/1.0 does: one request,
 * all that comes until the connection closes. 0 with the body in @ret_body (to be freed in either case) on a
 * 200; else an ERR code with one line in @ret_error. Waits for @timeout_ms at most, besides the name's
 * resolution. */
int http_get(const char *address, const char *path, int timeout_ms, struct buf *ret_body,
             char ret_error[CONNECT_ERROR_BYTES]);

#endif
