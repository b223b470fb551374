#include "base/ini_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ini.h>

#include "base/err.h"

int ini_file_fail(char ret_error[INI_FILE_ERROR_BYTES], const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(ret_error, INI_FILE_ERROR_BYTES, fmt, args);
        va_end(args);
        for (char *p = ret_error; *p; p++) {
                if (iscntrl((unsigned char)*p))
                        *p = '?';
        }
        return ERR_CONFIG;
}

/* inih parses the file. next_line, which feeds it, catches what inih accepts silently: inih cuts lines that
 * exceed its buffer or contain a NUL, reads an indented line as a second value of the previous key, ignores
 * text after [section], and does not report a section without keys. Debian builds inih without
 * INI_HANDLER_LINENO, so next_line also counts the lines. */
struct file {
        FILE *stream;
        char name[INI_FILE_WHERE_BYTES - 16]; /* the end of the path if the path is too long for a message */
        unsigned line;
        const struct ini_file_ops *ops;
        void *ctx;
        char *ret_error;
        int err;
};

static void format_where(const struct file *f, char ret[INI_FILE_WHERE_BYTES])
{
        snprintf(ret, INI_FILE_WHERE_BYTES, "%s:%u", f->name, f->line);
}

/* @line starts at its first visible character. */
static int check_line(const struct file *f, const char *line)
{
        const char *end = strchr(line, ']');
        char here[INI_FILE_WHERE_BYTES];
        char section[INI_FILE_SECTION_BYTES + 1];

        if (line[0] != '[' || !end) /* without the bracket inih refuses it */
                return 0;
        format_where(f, here);
        snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
        end += 1 + strspn(end + 1, " \t\r");
        if (*end && *end != ';' && *end != '#')
                return ini_file_fail(f->ret_error,
                                     "%s: a setting must be on a line of its own, below its [section]", here);
        return f->ops->on_section(f->ctx, here, section, f->ret_error);
}

/* The reader for inih, like fgets: returns a line without line feed and indentation. Newer versions of inih
 * read a full buffer as the first part of a longer line; this function never fills the buffer. */
static char *next_line(char *buf, int size, void *arg)
{
        static const char bom[] = "\xef\xbb\xbf";
        struct file *f = arg;
        const char *start = buf;
        int len = 0;
        int c;

        if (f->err)
                return NULL;
        f->line++;
        while ((c = getc(f->stream)) != EOF && c != '\n' && c != '\0' && len < size - 2)
                buf[len++] = (char)c;
        buf[len] = '\0';
        if (ferror(f->stream))
                f->err = ini_file_fail(f->ret_error, "%s: %s", f->name, strerror(errno));
        else if (c == '\0')
                f->err = ini_file_fail(f->ret_error, "%s:%u: the line holds a NUL byte", f->name, f->line);
        else if (c != EOF && c != '\n')
                f->err = ini_file_fail(
                        f->ret_error,
                        "%s:%u: the line is longer than %d bytes (put a long database.url into $DATABASE_URL)",
                        f->name, f->line, size - 2);
        if (f->err || (c == EOF && len == 0))
                return NULL;
        if (f->line == 1 && strncmp(buf, bom, strlen(bom)) == 0)
                start += strlen(bom);
        start += strspn(start, " \t\r\v\f");
        memmove(buf, start, strlen(start) + 1);
        f->err = check_line(f, buf);
        return f->err ? NULL : buf;
}

static int on_setting(void *arg, const char *section, const char *key, const char *value)
{
        struct file *f = arg;
        char here[INI_FILE_WHERE_BYTES];

        if (f->err)
                return 1;
        format_where(f, here);
        f->err = f->ops->on_setting(f->ctx, here, section, key, value, f->ret_error);
        return 1;
}

bool ini_file_is_name(const char *key)
{
        size_t len = strlen(key);

        return len > 0 && len < INI_FILE_SECTION_BYTES &&
               strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

int ini_file_read(const char *path, bool optional, const struct ini_file_ops *ops, void *ctx,
                  char ret_error[INI_FILE_ERROR_BYTES])
{
        struct file f = {.ops = ops, .ctx = ctx, .ret_error = ret_error};
        size_t len = strlen(path);
        int bad_line;

        if (len < sizeof(f.name))
                snprintf(f.name, sizeof(f.name), "%s", path);
        else
                snprintf(f.name, sizeof(f.name), "...%s", path + len - (sizeof(f.name) - 4));
        f.stream = fopen(path, "re");
        if (!f.stream && optional && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (!f.stream)
                return ini_file_fail(ret_error, "%s: %s", f.name, strerror(errno));
        bad_line = ini_parse_stream(next_line, &f, on_setting, &f);
        if (bad_line > 0 && (!f.err || (unsigned)bad_line < f.line)) /* report the first fault only */
                f.err = ini_file_fail(ret_error, "%s:%d: neither [section] nor key = value nor a comment",
                                      f.name, bad_line);
        else if (bad_line < 0 && !f.err)
                f.err = ini_file_fail(ret_error, "%s: cannot be parsed: out of memory", f.name);
        fclose(f.stream);
        return f.err;
}
