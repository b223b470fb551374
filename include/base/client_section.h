#ifndef CLIENT_SECTION_H
#define CLIENT_SECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"

/* The sections [client NAME] of a configuration, as they were written: who may write what. */

enum {
        CLIENT_NAME_BYTES = 41,    /* with its NUL */
        CLIENT_ORIGIN_BYTES = 128, /* of a line's origin (rules.h), with its NUL */
        CLIENT_WHERE_BYTES = 256,
};

/* A list of words with commas or spaces between them, from one key or the same key several times. */
struct client_words {
        char *text;                     /* "" for none */
        char where[CLIENT_WHERE_BYTES]; /* the last one's "FILE:LINE" */
};

struct client_section {
        char name[CLIENT_NAME_BYTES]; /* letters, digits, '-', '_' and '.' */
        struct client_words peer;
        struct client_words platforms;
        struct client_words connections;
        struct client_words accounts;
        unsigned max_lines_per_second; /* 0: no limit */
        unsigned max_connections;      /* 0: no limit */
        unsigned memory_percent;       /* 1..100, of limits.memory_bytes */
        unsigned seen;                 /* bit per key that may be given once */
};

/* Whether a section's name, as in "[client meta-sync]", begins with the word client. */
bool client_section_is(const char *section);

/* Begins the section "client NAME", found at @where. Returns 0, or ERR_CONFIG with one line in @ret_error, also if the
 * section appears twice. */
int client_section_begin(struct config *config, const char *where, const char *section,
                         char ret_error[CONFIG_ERROR_BYTES]);

/* Sets key = value in the section "client NAME" that client_section_begin began; returns like it. */
int client_section_set(struct config *config, const char *where, const char *section, const char *key,
                       const char *value, char ret_error[CONFIG_ERROR_BYTES]);

/* True if both have the same sections with the same contents. */
bool client_sections_equal(const struct config *a, const struct config *b);

/* Takes the next word of a list off the front of *text: its length, 0 at the end; *ret_word points into the text. */
size_t client_words_next(const char **text, const char **ret_word);

void client_sections_deinit(struct config *config);

#endif
