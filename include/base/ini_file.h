#ifndef INI_FILE_H
#define INI_FILE_H

#include <stdbool.h>

/* An INI file, line by line. */

enum {
        INI_FILE_WHERE_BYTES = 256,  /* of "FILE:LINE" */
        INI_FILE_SECTION_BYTES = 50, /* of a section's name, with its NUL */
        INI_FILE_ERROR_BYTES = 512,
};

/* Each returns 0, or a code of enum err with one line in @ret_error. @where: "FILE:LINE". */
struct ini_file_ops {
        int (*on_section)(void *ctx, const char *where, const char *section, char *ret_error);
        int (*on_setting)(void *ctx, const char *where, const char *section, const char *key,
                          const char *value, char *ret_error);
};

/* Reads the file; the first fault ends that. With @optional, a file that does not exist counts as empty. */
int ini_file_read(const char *path, bool optional, const struct ini_file_ops *ops, void *ctx,
                  char ret_error[INI_FILE_ERROR_BYTES]);

/* Whether @key may be quoted in an error: a URL at the wrong place, which may hold a password, is not a name. */
bool ini_file_is_name(const char *key);

/* Writes one line to @ret_error, made visible (visible.h), since a path may hold anything. Returns ERR_CONFIG. */
int ini_file_fail(char ret_error[INI_FILE_ERROR_BYTES], const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

#endif
