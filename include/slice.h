#ifndef SLICE_H
#define SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Borrowed bytes: not NUL-terminated, not owned. ptr may be NULL where len is 0. */
struct slice {
        const char *ptr;
        size_t len;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})

static inline struct slice slice_str(const char *s)
{
        return (struct slice){s, strlen(s)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The place of @text among @words; @len where it is none of them. */
static inline size_t slice_find(const struct slice *words, size_t len, struct slice text)
{
        size_t i = 0;

        while (i < len && !slice_eq(words[i], text))
                i++;
        return i;
}

#endif
