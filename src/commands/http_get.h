#ifndef HTTP_GET_H
#define HTTP_GET_H

#include "base/buf.h"
#include "client/connect.h"

/* Fetches @path from the HTTP server at @address, "host:port" or "[v6]:port", by HTTP/1.0: one request; the
 * answer ends when the connection closes. Returns 0 with the body in @ret_body on status 200; else a code of
 * enum err with one line in @ret_error. The caller frees @ret_body in either case. Waits at most
 * @timeout_ms, not counting name resolution. */
int http_get(const char *address, const char *path, int timeout_ms, struct buf *ret_body,
             char ret_error[CONNECT_ERROR_BYTES]);

#endif
