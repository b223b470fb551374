#include "wire/frame.h"

#include <string.h>

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

static enum frame_result find_line(struct frame *f, struct slice in, size_t max_line, bool eof,
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
                *ret_line = in;
                *ret_used += in.len;
                f->seen = 0;
                f->skipping = true;
                return FRAME_TOO_LONG;
        }
        f->seen = in.len;
        return FRAME_MORE;
}

static const char mark[] = {'\xef', '\xbb', '\xbf'};

size_t frame_mark_len(struct slice text)
{
        return text.len >= sizeof(mark) && memcmp(text.ptr, mark, sizeof(mark)) == 0 ? sizeof(mark) : 0;
}

/* More bytes may make it a whole one. */
static bool is_part_of_mark(struct slice text)
{
        return text.len < sizeof(mark) && memcmp(text.ptr, mark, text.len) == 0;
}

enum frame_result frame_next(struct frame *f, struct slice in, size_t max_line, bool eof,
                             struct slice *ret_line, size_t *ret_used)
{
        size_t skipped = f->begun ? 0 : frame_mark_len(in);
        enum frame_result result;

        *ret_used = 0;
        if (in.len == 0 || (!f->begun && !eof && is_part_of_mark(in)))
                return FRAME_MORE;
        f->begun = true;
        in.ptr += skipped;
        in.len -= skipped;
        result = find_line(f, in, max_line, eof, ret_line, ret_used);
        *ret_used += skipped;
        return result;
}
