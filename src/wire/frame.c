#include "wire/frame.h"

/* Returns the line of @len bytes at @start, without the "\r" of a "\r\n". */
static struct slice without_cr(const char *start, size_t len)
{
        if (len > 0 && start[len - 1] == '\r')
                len--;
        return (struct slice){start, len};
}

/* Skips input that belongs to a line reported as too long. */
static enum frame_result skip(struct frame *f, struct slice in, const char *newline, size_t *ret_used)
{
        if (newline) {
                f->skipping = false;
                *ret_used = (size_t)(newline - in.ptr) + 1;
        } else {
                *ret_used = in.len;
        }
        return FRAME_MORE;
}

enum frame_result frame_next(struct frame *f, struct slice in, size_t max_line, bool eof,
                             struct slice *ret_line, size_t *ret_used)
{
        const char *newline = NULL;

        if (in.len > f->seen)
                newline = memchr(in.ptr + f->seen, '\n', in.len - f->seen);
        if (f->skipping) {
                enum frame_result result = skip(f, in, newline, ret_used);

                f->seen = 0;
                if (f->skipping || *ret_used == in.len)
                        return result;
                in.ptr += *ret_used;
                in.len -= *ret_used;
                newline = memchr(in.ptr, '\n', in.len);
        } else {
                *ret_used = 0;
        }
        if (newline) {
                *ret_line = without_cr(in.ptr, (size_t)(newline - in.ptr));
                *ret_used += (size_t)(newline - in.ptr) + 1;
                f->seen = 0;
                return ret_line->len > max_line ? FRAME_TOO_LONG : FRAME_LINE;
        }
        if (eof && in.len > 0) {
                *ret_line = without_cr(in.ptr, in.len);
                *ret_used += in.len;
                f->seen = 0;
                return ret_line->len > max_line ? FRAME_TOO_LONG : FRAME_LINE;
        }
        /* One byte beyond the limit may be the "\r" of a line end. */
        if (in.len > max_line + 1 || (in.len == max_line + 1 && in.ptr[max_line] != '\r')) {
                *ret_used += in.len;
                f->seen = 0;
                f->skipping = true;
                return FRAME_TOO_LONG;
        }
        f->seen = in.len;
        return FRAME_MORE;
}
