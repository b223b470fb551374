#ifndef SLICE_H
#define SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes, not NUL-terminated. ptr may be NULL if len is 0. */
struct slice {
        const char *ptr;
        size_t len;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})

static inline struct slice slice_str(const char *s)
{
        return (struct slice){s, strlen(s)};
}

/* Compares short texts eight bytes at a time; the last eight may overlap the eight before. */
static inline bool bytes_eq(const char *a, const char *b, size_t len)
{
        uint64_t x;
        uint64_t y;

        if (len < 8)
                return memcmp(a, b, len) == 0;
        for (size_t i = 0;; i += 8) {
                if (i + 8 > len)
                        i = len - 8;
                memcpy(&x, a + i, 8);
                memcpy(&y, b + i, 8);
                if (x != y || i + 8 == len)
                        return x == y;
        }
}

static inline bool slice_eq(struct slice a, struct slice b)
{
        return a.len == b.len && (a.len == 0 || bytes_eq(a.ptr, b.ptr, a.len));
}

/* Returns the index of @text in @words, or @len if it is not there. */
static inline size_t slice_find(const struct slice *words, size_t len, struct slice text)
{
        size_t i = 0;

        while (i < len && !slice_eq(words[i], text))
                i++;
        return i;
}

#endif
