#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Splits a byte stream into lines that end in "\n" or "\r\n". Skips the byte order mark with which some programs
 * begin a text. Stores no bytes: the caller keeps unused bytes and passes them again, followed by more. */
struct frame {
        size_t seen;   /* bytes at the start of the input that are known to contain no line end */
        bool skipping; /* inside a line that was reported as too long */
        bool begun;    /* bytes came; a byte order mark before them was skipped */
};

enum frame_result {
        FRAME_LINE,     /* *ret_line is a whole line, without its end */
        FRAME_TOO_LONG, /* a line exceeds max_line bytes; reported once, its rest is skipped */
        FRAME_MORE,     /* more bytes are needed */
};

/* Length of the byte order mark with which @text begins: 3, or 0 if there is none. */
size_t frame_mark_len(struct slice text);

/* Finds the next line in @in. *ret_used is the number of bytes of @in that are done with, the line's end
 * included. *ret_line points into @in; on FRAME_TOO_LONG it is the line's beginning, on FRAME_MORE it is not set. At the
 * end of the stream (@eof) a remainder without line end is a line, too. */
enum frame_result frame_next(struct frame *f, struct slice in, size_t max_line, bool eof,
                             struct slice *ret_line, size_t *ret_used);

#endif
