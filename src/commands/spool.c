/* Inspects the spool, or a file of it that was set aside, even while a daemon uses it. */
#include "commands/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "base/rfc3339.h"
#include "base/visible.h"
#include "commands/command.h"
#include "commands/table.h"
#include "spool/spool_account.h"
#include "spool/spool_file.h"

enum { GAP_MAX = 1 << 30 }; /* how many line numbers a fault in the file may span */

static void put_time(const char *what, int64_t unix_us)
{
        char text[RFC3339_TEXT_BYTES];

        if (unix_us == 0)
                return;
        rfc3339_format(unix_us, text);
        printf("%s: %s\n", what, text);
}

/* Returns 0, or FAILED after printing the error. @damaged: a damaged file is acceptable. */
static int open_file(struct spool_file *f, const struct config *config, const char *file, bool damaged)
{
        char path[SPOOL_PATH_BYTES];
        struct stat st;

        const char *dir = file ? NULL : config->spool.dir;
        struct spool_tally account;

        *f = (struct spool_file){.lock = -1, .account.fd = -1};
        if (!file && !config->spool.dir[0])
                return command_fail(FAILED, "no spool: set spool.dir, or give --file FILE");
        snprintf(path, sizeof(path), "%s%s", file ? file : config->spool.dir, file ? "" : "/spool.db");
        if (stat(path, &st) != 0 && dir && spool_account_read(dir, &account) == SPOOL_ACCOUNT_READ &&
            spool_tally_owed(&account) > 0)
                return command_fail(FAILED, "%s is missing, with %" PRIu64 " acked lines", path,
                                    spool_tally_owed(&account));
        if (stat(path, &st) != 0)
                return command_fail(FAILED, "no spool at %s: %s", path, strerror(errno));
        if (spool_file_open_read_only(f, path, dir) != SPOOL_OK && !(damaged && (f->read || f->read_old)))
                return command_fail(FAILED, "%s: %s", path, f->error);
        return DONE;
}

static void print_status(const struct spool_file *f)
{
        printf("file: %s\nlines: %" PRIu64 "\nbytes: %" PRIu64 "\n", f->path, f->contents.lines,
               f->contents.bytes);
        put_time("oldest", f->contents.oldest);
        put_time("newest", f->contents.newest);
        printf("damaged lines: %" PRIu64 "\n", f->contents.damaged);
        printf("missing lines: %" PRIu64 "\nlost lines: %" PRIu64 "\n", f->findings.lost, f->tally.lost);
        put_time("lost at", f->tally.lost_us);
}

/* NULL for no time. */
static const char *time_text(int64_t unix_us, char ret[RFC3339_TEXT_BYTES])
{
        rfc3339_format(unix_us, ret);
        return unix_us ? ret : NULL;
}

static void print_status_json(const struct spool_file *f)
{
        enum { NUMBERS = 5 };
        static const struct table_column columns[] = {
                {"file", TABLE_KEEP, false},         {"lines", TABLE_KEEP, true},
                {"bytes", TABLE_KEEP, true},         {"oldest", TABLE_KEEP, false},
                {"newest", TABLE_KEEP, false},       {"damaged_lines", TABLE_KEEP, true},
                {"missing_lines", TABLE_KEEP, true}, {"lost_lines", TABLE_KEEP, true},
                {"lost_at", TABLE_KEEP, false},
        };
        const uint64_t numbers[NUMBERS] = {f->contents.lines, f->contents.bytes, f->contents.damaged,
                                           f->findings.lost, f->tally.lost};
        struct table t = {.columns = columns, .columns_len = sizeof(columns) / sizeof(columns[0])};
        char n[NUMBERS][24];
        char oldest[RFC3339_TEXT_BYTES];
        char newest[RFC3339_TEXT_BYTES];
        char lost[RFC3339_TEXT_BYTES];

        for (int i = 0; i < NUMBERS; i++)
                snprintf(n[i], sizeof(n[i]), "%" PRIu64, numbers[i]);
        table_add(&t, (const char *[]){f->path, n[0], n[1], time_text(f->contents.oldest, oldest),
                                       time_text(f->contents.newest, newest), n[2], n[3], n[4],
                                       time_text(f->tally.lost_us, lost)});
        table_print_object(&t, stdout);
        table_deinit(&t);
}

int command_spool_status(const struct config *config, const char *file, const char *format_text)
{
        enum table_format format;
        struct spool_file f;
        int status = command_read_format(format_text, false, &format);

        if (status != DONE)
                return status;
        status = open_file(&f, config, file, false);
        if (status == DONE && format == TABLE_JSON)
                print_status_json(&f);
        else if (status == DONE)
                print_status(&f);
        spool_file_close(&f);
        return status;
}

/* Counts the lines whose hash does not match. Returns false, after printing the error, if the file cannot be
 * read to its end. */
static bool count_damaged(struct spool_file *f, uint64_t *ret_damaged)
{
        struct spool_record record = {0};
        bool whole;
        int r;

        *ret_damaged = 0;
        while ((r = spool_file_next(f, record.place, &record, &whole)) > 0)
                *ret_damaged += !whole;
        if (r < 0)
                command_fail(FAILED, "%s cannot be read after line %" PRId64 ": %s", f->path, record.place.id,
                             f->error);
        return r == 0;
}

static void tell_fault(const char *fault)
{
        visible_print_line(stdout, "%s", fault);
}

static int verify(struct spool_file *f)
{
        int faults = spool_file_check(f, tell_fault);
        char when[RFC3339_TEXT_BYTES];
        uint64_t damaged;

        if (faults < 0)
                return command_fail(FAILED, "%s: %s", f->path, f->error);
        if (!count_damaged(f, &damaged))
                return FAILED;
        damaged += f->contents.damaged;
        if (faults > 0 || damaged > 0)
                command_fail(FAILED, "%s: %" PRIu64 " damaged lines, and %d faults in its structure", f->path,
                             damaged, faults);
        if (f->findings.lost > 0)
                command_fail(FAILED, "%s: %" PRIu64 " acked lines are missing (let clients resend them)",
                             f->path, f->findings.lost);
        if (faults > 0 || damaged > 0 || f->findings.lost > 0)
                return FAILED;
        if (f->tally.lost > 0) {
                rfc3339_format(f->tally.lost_us, when);
                return command_fail(
                        FAILED,
                        "%s is undamaged, but %" PRIu64
                        " acked lines were lost, the last at %s (let clients resend them; to reset this, stop the "
                        "daemon and remove spool.account)",
                        f->path, f->tally.lost, when);
        }
        printf("%s is undamaged: %" PRIu64 " lines%s\n", f->path, f->contents.lines,
               f->findings.account_missed ? "; spool.account is missing, so acked lines may be missing" : "");
        return DONE;
}

int command_spool_verify(const struct config *config, const char *file)
{
        struct spool_file f;
        int status = open_file(&f, config, file, false);

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

/* Before the first line of the rows whose key is @n above that of @place, or higher. */
static struct spool_place place_after(const struct spool_place *place, int64_t n)
{
        int64_t row = place->row + n;

        /* of a row of an earlier format, what follows is after the row before */
        return (struct spool_place){place->in_block ? row : row - 1, 0, SPOOL_ROW_START, place->in_block};
}

static bool fails_after(struct spool_file *f, const struct spool_place *place, int64_t n)
{
        struct spool_record record;
        bool whole;

        return spool_file_next(f, place_after(place, n), &record, &whole) < 0;
}

/* The file cannot be read after *place: sets *place to the first one of the same format after which it can be read
 * again. Returns false if there is none. */
static bool skip_gap(struct spool_file *f, struct spool_place *place)
{
        int64_t bad = 0;
        int64_t good = 1;

        if (place->row > INT64_MAX - 2 * (int64_t)GAP_MAX)
                return false;
        while (good < GAP_MAX && fails_after(f, place, good)) {
                bad = good;
                good *= 2;
        }
        if (good >= GAP_MAX)
                return false;
        while (good - bad > 1) {
                int64_t middle = bad + (good - bad) / 2;

                if (fails_after(f, place, middle))
                        bad = middle;
                else
                        good = middle;
        }
        *place = place_after(place, good);
        return true;
}

/* As skip_gap, in the whole file: blocks come after all lines of an earlier format. */
static bool skip(struct spool_file *f, struct spool_place *place)
{
        if (skip_gap(f, place))
                return true;
        if (place->in_block || !f->read)
                return false;
        *place = (struct spool_place){0, 0, SPOOL_ROW_START, true};
        return !fails_after(f, place, 0) || skip_gap(f, place);
}

/* Prints all readable lines. Returns false, after printing the error, if some are unreadable. */
static bool print_lines(struct spool_file *f)
{
        struct spool_record record = {0};
        struct spool_place last = {0};
        uint64_t damaged = 0;
        bool whole;
        bool all = true;
        int r;

        while ((r = spool_file_next(f, last, &record, &whole)) != 0) {
                if (r > 0) {
                        print_line(&record);
                        last = record.place;
                        damaged += !whole;
                        continue;
                }
                all = false;
                command_fail(FAILED, "%s cannot be read after line %" PRId64 ": %s", f->path,
                             last.index == SPOOL_ROW_START ? last.row : last.id, f->error);
                if (!skip(f, &last))
                        break;
        }
        if (damaged > 0)
                command_fail(FAILED, "%" PRIu64 " of these lines are damaged: see spool verify", damaged);
        return all && damaged == 0;
}

int command_spool_export(const struct config *config, const char *file)
{
        struct spool_file f;
        int status = open_file(&f, config, file, true);

        if (status == DONE && file) /* no daemon uses it; rows that are out of order are found in passing */
                spool_file_begin_reading(&f);
        if (status == DONE && !print_lines(&f))
                status = FAILED;
        if (fflush(stdout) != 0)
                status = command_fail(FAILED, "standard output: %s", strerror(errno));
        spool_file_close(&f);
        return status;
}
