#include "base/visible.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Invisible characters that change how or where text is displayed. */
static const struct {
        uint32_t first, last;
} hidden[] = {
        {0x00, 0x1f},       /* C0 */
        {0x7f, 0x9f},       /* DEL, C1 */
        {0xad, 0xad},       /* soft hyphen */
        {0x61c, 0x61c},     /* Arabic letter mark */
        {0x200b, 0x200b},   /* zero width space */
        {0x200e, 0x200f},   /* left-to-right and right-to-left mark */
        {0x2028, 0x202e},   /* line and paragraph separator, embeddings and overrides of the direction */
        {0x2060, 0x206f},   /* word joiner, isolates of the direction, deprecated formats */
        {0xfeff, 0xfeff},   /* byte order mark */
        {0xfff9, 0xfffb},   /* interlinear annotations */
        {0xe0000, 0xe007f}, /* tags */
};

static uint32_t code_point(const char *text, size_t len)
{
        static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        uint32_t c = (unsigned char)text[0] & masks[len];

        for (size_t i = 1; i < len; i++)
                c = c << 6 | ((unsigned char)text[i] & 0x3f);
        return c;
}

static bool is_hidden(const char *text, size_t len)
{
        uint32_t c = code_point(text, len);

        for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]) && hidden[i].first <= c; i++) {
                if (c <= hidden[i].last)
                        return true;
        }
        return false;
}

/* Returns what to show for the first character of @text, *ret_len bytes, and moves @text past the character. */
static const char *next(const char **text, size_t *ret_len)
{
        const char *at = *text;
        bool ascii = (unsigned char)at[0] < 0x80;
        size_t len = ascii ? 1 : utf8_sequence(at, at + strnlen(at, 4));
        bool shown = len > 0 && !is_hidden(at, len);

        *text += len > 0 ? len : 1;
        *ret_len = shown ? len : 1;
        return shown ? at : "?";
}

void visible_put(FILE *out, const char *text)
{
        while (*text) {
                size_t len;
                const char *shown = next(&text, &len);

                fwrite(shown, 1, len, out);
        }
}

void visible_vprint_line(FILE *out, const char *fmt, va_list args)
{
        char *text;

        if (vasprintf(&text, fmt, args) < 0)
                abort();
        visible_put(out, text);
        fputc('\n', out);
        free(text);
}

void visible_print_line(FILE *out, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        visible_vprint_line(out, fmt, args);
        va_end(args);
}

char *visible_copy(const char *text, char *out, size_t size)
{
        size_t used = 0;

        while (*text) {
                size_t len;
                const char *shown = next(&text, &len);

                if (used + len >= size)
                        break;
                memmove(out + used, shown, len);
                used += len;
        }
        out[used] = '\0';
        return out;
}

size_t visible_length(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}
