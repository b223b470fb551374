#ifndef EXPOSE_H
#define EXPOSE_H

#include "base/buf.h"

/* Prometheus's text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */

/* Appends at most 1023 bytes of text. */
void expose(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The head of a family of metrics; its samples follow. */
void expose_family(struct buf *out, const char *name, const char *type, const char *help);

#endif
