#ifndef STATUS_PAGE_H
#define STATUS_PAGE_H

#include "base/embedded.h"

/* The page served at "/", built from src/monitor/status_page. The policy is the value of the header
 * Content-Security-Policy that must accompany it; it contains the hashes of the page's style and script. */
enum { STATUS_PAGE_HTML, STATUS_PAGE_POLICY };

extern const struct embedded_file status_page[];
extern const size_t status_page_len;

#endif
