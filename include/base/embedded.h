#ifndef EMBEDDED_H
#define EMBEDDED_H

#include <stddef.h>

/* A file compiled into the program; src/embed.cmake generates arrays of them at build time. */
struct embedded_file {
        const char *name; /* without its directory: "0001_schema.sql" */
        const char *text; /* NUL-terminated */
        size_t len;       /* in bytes, not counting the NUL */
};

#endif
