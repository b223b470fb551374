/* Looks into the spool, or into a file of it that was set aside; a daemon may be using it meanwhile. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "command.h"
#include "rfc3339.h"
#include "spool_file.h"

static void put_time(const char *what, int64_t unix_us)
{
        char text[RFC3339_TEXT_BYTES];

        if (unix_us == 0)
                return;
        rfc3339_format(unix_us, text);
        printf("%s: %s\n", what, text);
}

/* 0, or FAILED once it is told. */
static int open_file(struct spool_file *f, const struct config *config, const char *file)
{
        char path[SPOOL_PATH_BYTES];
        struct stat st;

        *f = (struct spool_file){.lock = -1};
        if (!file && !config->spool.dir[0])
                return command_fail(FAILED, "spool.dir is empty, and no file is named: there is no spool");
        snprintf(path, sizeof(path), "%s%s", file ? file : config->spool.dir, file ? "" : "/spool.db");
        if (stat(path, &st) != 0)
                return command_fail(FAILED, "no spool at %s: %s", path, strerror(errno));
        if (spool_file_open_read_only(f, path) != SPOOL_OK)
                return command_fail(FAILED, "%s: %s", path, f->error);
        return DONE;
}

int command_spool_status(const struct config *config, const char *file)
{
        struct spool_file f;
        int status = open_file(&f, config, file);

        if (status == DONE) {
                printf("file: %s\nlines: %" PRIu64 "\nbytes: %" PRIu64 "\n", f.path, f.contents.lines,
                       f.contents.bytes);
                put_time("oldest", f.contents.oldest);
                put_time("newest", f.contents.newest);
                printf("damaged lines: %" PRIu64 "\n", f.contents.damaged);
        }
        spool_file_close(&f);
        return status;
}

/* Hands each line to @on_line (NULL: to nobody), and counts those whose hash does not match. False, once it
 * is told, where the file cannot be read to its end. */
static bool read_lines(struct spool_file *f, void (*on_line)(const struct spool_record *record),
                       uint64_t *ret_damaged)
{
        struct spool_record record = {0};
        struct buf text = {0};
        bool whole;
        int r;

        *ret_damaged = 0;
        while ((r = spool_file_next(f, record.id, &text, &record, &whole)) > 0) {
                if (on_line)
                        on_line(&record);
                *ret_damaged += !whole;
        }
        buf_deinit(&text);
        if (r < 0)
                command_fail(FAILED, "%s cannot be read behind line %" PRId64 ": %s", f->path, record.id,
                             f->error);
        return r == 0;
}

static void tell_fault(const char *fault)
{
        puts(fault);
}

static int verify(struct spool_file *f)
{
        int faults = spool_file_check(f, tell_fault);
        uint64_t damaged;

        if (faults < 0)
                return command_fail(FAILED, "%s: %s", f->path, f->error);
        if (!read_lines(f, NULL, &damaged))
                return FAILED;
        damaged += f->contents.damaged;
        if (faults > 0 || damaged > 0)
                return command_fail(FAILED,
                                    "%s: %" PRIu64 " lines are damaged, and %d faults are in its structure",
                                    f->path, damaged, faults);
        printf("%s is whole: %" PRIu64 " lines\n", f->path, f->contents.lines);
        return DONE;
}

int command_spool_verify(const struct config *config, const char *file)
{
        struct spool_file f;
        int status = open_file(&f, config, file);

        if (status == DONE)
                status = verify(&f);
        spool_file_close(&f);
        return status;
}

static void print_line(const struct spool_record *record)
{
        fwrite(record->text.ptr, 1, record->text.len, stdout);
        putchar('\n');
}

int command_spool_export(const struct config *config, const char *file)
{
        struct spool_file f;
        uint64_t damaged = 0;
        int status = open_file(&f, config, file);

        if (status == DONE && !read_lines(&f, print_line, &damaged))
                status = FAILED;
        if (fflush(stdout) != 0)
                status = command_fail(FAILED, "standard output: %s", strerror(errno));
        if (damaged > 0)
                status = command_fail(FAILED, "%" PRIu64 " of these lines are damaged: see spool verify",
                                      damaged);
        spool_file_close(&f);
        return status;
}
