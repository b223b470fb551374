#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Cuts a byte stream into lines ended by "\n" or "\r\n". Holds no bytes of its own: the caller keeps what is
 * not cut yet and offers it again with more behind it. */
struct frame {
        size_t seen;   /* bytes of the offered piece that are known to hold no line end */
        bool skipping; /* inside a line that was reported as too long */
};

enum frame_result {
        FRAME_LINE,     /* *ret_line is a whole line, without its end */
        FRAME_TOO_LONG, /* a line has more than max_line bytes; reported once, the rest of it is skipped */
        FRAME_MORE,     /* more bytes are needed */
};

/* Looks for the next line in @in. *ret_used says how many bytes of @in are done with, the line's end
 * included; ret_line borrows @in's memory and is set only on FRAME_LINE. At the stream's end (@eof) what is
 * left without a line end is a line, too. */
enum frame_result frame_next(struct frame *f, struct slice in, size_t max_line, bool eof,
                             struct slice *ret_line, size_t *ret_used);

#endif
