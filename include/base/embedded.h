#ifndef EMBEDDED_H
#define EMBEDDED_H

#include <stddef.h>

/* A file that was compiled in; src/embed.cmake makes arrays of them at build time. */
struct embedded_file {
        const char *name; /* without its folder: "0001_schema.sql" */
        const char *text; /* ends with a NUL */
        size_t len;       /* in bytes, without the NUL */
};

#endif
