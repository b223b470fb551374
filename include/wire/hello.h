#ifndef HELLO_H
#define HELLO_H

#include <stdbool.h>

#include "base/client_section.h"
#include "wire/fields.h"

/* The optional first line of a connection, which names the client: {"kind":"hello","client":"meta-sync",
 * "version":"1.2"}. There is no reply, and it counts as an empty line. */

enum { HELLO_TEXT_BYTES = 64 };

/* Texts of the client's choice: to be shown only by what makes foreign text visible. */
struct hello {
        char client[HELLO_TEXT_BYTES + 1];  /* 1 to 64 bytes */
        char version[HELLO_TEXT_BYTES + 1]; /* "" where the client told none */
        char on_behalf_of
                [CLIENT_ORIGIN_BYTES]; /* the origin of the lines that follow (rules.h); "" for none */
};

/* @line_number: from 1. False: the line is refused. */
bool hello_read(const struct fields *f, uint64_t line_number, struct hello *ret);

#endif
