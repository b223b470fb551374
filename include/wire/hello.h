#ifndef HELLO_H
#define HELLO_H

#include <stdbool.h>

#include "base/client_section.h"
#include "wire/fields.h"

/* The optional first line of a connection, which names the client:
 * {"kind":"hello","client":"meta-sync","version":"1.2"}. It gets no reply and counts as an empty line. */

enum { HELLO_TEXT_BYTES = 64 };

/* Texts chosen by the client: show them only through visible.h. */
struct hello {
        char client[HELLO_TEXT_BYTES + 1];  /* 1 to 64 bytes */
        char version[HELLO_TEXT_BYTES + 1]; /* "" if the client sent none */
        char on_behalf_of
                [CLIENT_ORIGIN_BYTES]; /* the origin of the lines that follow (rules.h); "" for none */
};

/* @line_number counts from 1. Returns false if the line is rejected. */
bool hello_read(const struct fields *f, uint64_t line_number, struct hello *ret);

#endif
