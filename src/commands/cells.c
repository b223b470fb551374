#include "commands/cells.h"

#include <stdint.h>
#include <string.h>

struct range {
        uint32_t first;
        uint32_t last;
};

/* Independent of the locale: wcwidth() does not work in the C locale, which services and cron jobs have. */
static const struct range wide[] = {
        {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},
        {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26a1, 0x26a1},   {0x26bd, 0x26be},   {0x2705, 0x2705},
        {0x270a, 0x270b},   {0x2728, 0x2728},   {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2795, 0x2797},
        {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
        {0x3400, 0x4dbf},   {0x4e00, 0xa4cf},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
        {0xfe10, 0xfe19},   {0xfe30, 0xfe6b},   {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x18cff},
        {0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f19a}, {0x1f1e6, 0x1f265},
        {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f7e0, 0x1f7eb}, {0x1f90c, 0x1f9ff}, {0x1fa70, 0x1faff},
        {0x20000, 0x3fffd},
};

static const struct range none[] = {
        {0x0300, 0x036f},   {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
        {0x0900, 0x0902},   {0x093c, 0x093c}, {0x0941, 0x0948}, {0x094d, 0x094d}, {0x0e31, 0x0e31},
        {0x0e34, 0x0e3a},   {0x0e47, 0x0e4e}, {0x1160, 0x11ff}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
        {0x200b, 0x200f},   {0x20d0, 0x20f0}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
        {0xe0100, 0xe01ef},
};

static int is_in(uint32_t c, const struct range *ranges, size_t len)
{
        for (size_t i = 0; i < len && ranges[i].first <= c; i++) {
                if (c <= ranges[i].last)
                        return 1;
        }
        return 0;
}

/* Decodes the first character of @text; *ret_len: its length in bytes. */
static uint32_t decode(const char *text, size_t *ret_len)
{
        const unsigned char *c = (const unsigned char *)text;
        size_t len = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
        uint32_t code = len == 1 ? c[0] : c[0] & (0x7fu >> len);

        *ret_len = 1;
        for (size_t i = 1; i < len && (c[i] & 0xc0) == 0x80; i++) {
                code = code << 6 | (c[i] & 0x3fu);
                *ret_len = i + 1;
        }
        return code;
}

static size_t width(uint32_t c)
{
        if (c < 0x300)
                return 1;
        if (is_in(c, none, sizeof(none) / sizeof(none[0])))
                return 0;
        return is_in(c, wide, sizeof(wide) / sizeof(wide[0])) ? 2 : 1;
}

size_t cells_width(const char *text)
{
        size_t cells = 0;
        size_t len;

        for (; *text; text += len)
                cells += width(decode(text, &len));
        return cells;
}

size_t cells_put(FILE *out, const char *text, size_t limit)
{
        size_t used = 1; /* "…" */
        size_t len;

        for (; *text; text += len) {
                size_t cells = width(decode(text, &len));

                if (used + cells > limit)
                        break;
                fwrite(text, 1, len, out);
                used += cells;
        }
        fputs("…", out);
        return used;
}
