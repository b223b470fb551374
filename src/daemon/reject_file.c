/* One write runs at a time; entries added meanwhile are collected for the next one. If a write fails, its
 * entries are lost and counted, but entries of spooled lines are written again later. */
#include "daemon/reject_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/clock.h"
#include "base/json_put.h"
#include "base/log.h"
#include "base/rfc3339.h"

enum { RETRY_MS = 1000 }; /* for entries that must not be lost */

static void go_on(struct reject_file *r);

/* --- a line's text --- */

static void put_str(struct buf *out, const char *text)
{
        buf_put(out, text, strlen(text));
}

static void put_member(struct buf *out, const char *key, const char *text)
{
        put_str(out, key);
        json_put_string(out, slice_str(text));
}

static void put_record(struct buf *out, struct slice text)
{
        put_str(out, ",\"record\":");
        if (!json_put_string(out, text))
                put_str(out, ",\"lossy\":true");
}

/* The file for spooled lines gets the whole line. */
static void put_entry(struct reject_entries *to, const struct line_from *from, struct slice text,
                      const struct reject *reject, enum reject_audience audience, bool whole)
{
        struct buf *out = &to->text;
        bool cut = !whole && text.len > REJECTS_RECORD_BYTES;
        char time[RFC3339_TEXT_BYTES];
        char numbers[80];

        rfc3339_format(clock_now_us(), time);
        put_member(out, "{\"time\":", time);
        put_member(out, ",\"peer\":", from->peer);
        snprintf(numbers, sizeof(numbers), ",\"connection\":%" PRIu64 ",\"line\":%" PRIu64, from->connection,
                 from->line);
        put_str(out, numbers);
        if (from->client && from->client[0])
                put_member(out, ",\"client\":", from->client);
        put_member(out, ",\"code\":", reject_code_name(reject->code));
        if (reject->field[0])
                put_member(out, ",\"field\":", reject->field);
        put_member(out, ",\"message\":", reject->message);
        if (audience == REJECT_SPOOLED)
                put_str(out, ",\"spooled\":true");
        if (cut)
                put_str(out, ",\"cut\":true");
        if (text.ptr)
                put_record(out, cut ? (struct slice){text.ptr, REJECTS_RECORD_BYTES} : text);
        put_str(out, "}\n");
        to->lines++;
}

/* --- in one of libuv's threads --- */

static int open_file(const char *path)
{
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

        return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *data, size_t len)
{
        while (len > 0) {
                ssize_t n = write(fd, data, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                len -= (size_t)n;
        }
        return 0;
}

static uint64_t count_lines(const char *path)
{
        static _Thread_local char piece[64 * 1024];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint64_t lines = 0;
        ssize_t len;

        while (fd >= 0 && (len = read(fd, piece, sizeof(piece))) > 0) {
                const char *end = piece + len;

                for (const char *p = piece; (p = memchr(p, '\n', (size_t)(end - p))); p++)
                        lines++;
        }
        if (fd >= 0)
                close(fd);
        return lines;
}

static void path_of(const struct reject_file *r, unsigned n, char ret[PATH_MAX])
{
        if (n == 0)
                snprintf(ret, PATH_MAX, "%s", r->path);
        else
                snprintf(ret, PATH_MAX, "%s.%u", r->path, n);
}

/* FILE.1 becomes FILE.2 and so on, FILE becomes FILE.1. A file that cannot be renamed stays and grows. */
static void rotate(struct reject_file *r)
{
        char from[PATH_MAX];
        char to[PATH_MAX];

        path_of(r, r->limits.keep, to);
        r->dropped = count_lines(to);
        if (r->limits.keep == 0)
                unlink(to);
        for (unsigned n = r->limits.keep; n > 0; n--) {
                path_of(r, n, to);
                path_of(r, n - 1, from);
                rename(from, to);
        }
}

static int append(const char *path, const struct buf *text, bool *torn)
{
        int fd = open_file(path);
        int err = 0;

        if (fd < 0)
                return fd;
        if (*torn)
                err = write_all(fd, "\n", 1);
        if (err == 0)
                err = write_all(fd, text->data, text->len);
        *torn = err != 0;
        close(fd);
        return err;
}

static int write_file(struct reject_file *r)
{
        const struct buf *text = &r->writing[REJECT_TO_FILE].text;
        struct stat st;

        if (stat(r->path, &st) == 0 && st.st_size > 0 &&
            (size_t)st.st_size + text->len > r->limits.file_bytes)
                rotate(r);
        return append(r->path, text, &r->torn[REJECT_TO_FILE]);
}

static int write_spooled(struct reject_file *r)
{
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s.spooled", r->path);
        return append(path, &r->writing[REJECT_TO_SPOOLED].text, &r->torn[REJECT_TO_SPOOLED]);
}

static void unknown_path(const struct reject_file *r, char ret[PATH_MAX])
{
        snprintf(ret, PATH_MAX, "%s.unknown.new", r->path);
}

/* These entries are in FILE, too. */
static int write_unknown(struct reject_file *r)
{
        const struct reject_entries *lines = &r->writing[REJECT_TO_UNKNOWN];
        char path[PATH_MAX];
        struct stat st;
        int err = 0;

        unknown_path(r, path);
        uv_mutex_lock(&r->unknown_lock);
        if (stat(path, &st) == 0 && (size_t)st.st_size + lines->text.len > r->limits.file_bytes)
                r->unkept = lines->lines;
        else
                err = append(path, &lines->text, &r->torn[REJECT_TO_UNKNOWN]);
        uv_mutex_unlock(&r->unknown_lock);
        return err;
}

void reject_file_take_unknown(struct reject_file *r, const char *to)
{
        char path[PATH_MAX];

        unknown_path(r, path);
        uv_mutex_lock(&r->unknown_lock);
        rename(path, to);
        uv_mutex_unlock(&r->unknown_lock);
}

static void on_work(uv_work_t *work)
{
        struct reject_file *r = work->data;

        r->dropped = 0;
        r->error[REJECT_TO_FILE] = r->writing[REJECT_TO_FILE].lines > 0 ? write_file(r) : 0;
        r->error[REJECT_TO_SPOOLED] = r->writing[REJECT_TO_SPOOLED].lines > 0 ? write_spooled(r) : 0;
        r->unkept = 0;
        r->error[REJECT_TO_UNKNOWN] = r->writing[REJECT_TO_UNKNOWN].lines > 0 ? write_unknown(r) : 0;
}

/* --- on the loop --- */

static void tell_rotation(struct reject_file *r)
{
        if (r->dropped > 0 && log_limit_pass(&r->rotations, uv_now(r->loop)) > 0)
                log_warn("rejects.file %s: rotation removed %" PRIu64
                         " rejected lines (replay them in time, or raise rejects.max_bytes or rejects.keep)",
                         r->path, r->dropped);
        if (r->unkept > 0 && log_limit_pass(&r->rotations, uv_now(r->loop)) > 0)
                log_warn("rejects.file %s: %" PRIu64
                         " lines of unknown ad objects are not kept for a replay, only recorded (raise "
                         "rejects.max_bytes, or send the hierarchy)",
                         r->path, r->unkept);
}

static int any_error(const struct reject_file *r)
{
        for (int i = 0; i < REJECT_TARGETS; i++) {
                if (r->error[i])
                        return r->error[i];
        }
        return 0;
}

/* Logs the result of the last write. */
static void tell(struct reject_file *r)
{
        int error = any_error(r);
        uint64_t lost;

        uv_mutex_lock(&r->lock);
        if (r->error[REJECT_TO_FILE])
                r->lost += r->writing[REJECT_TO_FILE].lines;
        lost = r->lost;
        if (!error) {
                r->lost_before += r->lost;
                r->lost = 0;
        }
        r->rotated_out += r->dropped;
        uv_mutex_unlock(&r->lock);
        if (error && !r->failing)
                log_error("rejects.file %s cannot be written: %s; rejected lines are not recorded", r->path,
                          strerror(-error));
        else if (!error && lost > 0)
                log_warn("rejects.file %s is written again; %" PRIu64 " rejected lines are missing from it",
                         r->path, lost);
        r->failing = error != 0;
        tell_rotation(r);
}

static void on_retry(uv_timer_t *timer)
{
        struct reject_file *r = timer->data;

        if (!r->working)
                go_on(r);
}

/* Puts failed entries before those added meanwhile. */
static void put_back_spooled(struct reject_file *r)
{
        struct reject_entries *failed = &r->writing[REJECT_TO_SPOOLED];
        struct reject_entries *waiting = &r->waiting[REJECT_TO_SPOOLED];
        struct reject_entries swap = *waiting;

        buf_put(&failed->text, swap.text.data, swap.text.len);
        failed->lines += swap.lines;
        *waiting = *failed;
        *failed = swap;
        uv_timer_start(&r->retry, on_retry, RETRY_MS, 0);
}

static void on_written(uv_work_t *work, int status)
{
        struct reject_file *r = work->data;
        bool failed = r->error[REJECT_TO_SPOOLED] != 0;

        (void)status;
        tell(r);
        r->working = false;
        uv_mutex_lock(&r->lock);
        if (failed && !r->close_cb)
                put_back_spooled(r);
        else if (failed)
                r->lost += r->writing[REJECT_TO_SPOOLED].lines;
        for (int i = 0; i < REJECT_TARGETS; i++) {
                r->writing[i].text.len = 0;
                r->writing[i].lines = 0;
        }
        uv_mutex_unlock(&r->lock);
        if (!failed || r->close_cb)
                go_on(r);
}

static void on_wake_closed(uv_handle_t *handle)
{
        struct reject_file *r = handle->data;

        if (r->lost > 0)
                log_warn("rejects.file %s: %" PRIu64 " rejected lines are missing from it", r->path, r->lost);
        for (int i = 0; i < REJECT_TARGETS; i++) {
                buf_deinit(&r->waiting[i].text);
                buf_deinit(&r->writing[i].text);
        }
        uv_mutex_destroy(&r->lock);
        r->close_cb(r);
}

static bool has_lines(const struct reject_entries entries[REJECT_TARGETS])
{
        for (int i = 0; i < REJECT_TARGETS; i++) {
                if (entries[i].lines > 0)
                        return true;
        }
        return false;
}

/* No write is running: starts the next one, or ends. */
static void go_on(struct reject_file *r)
{
        uv_mutex_lock(&r->lock);
        r->working = has_lines(r->waiting);
        for (int i = 0; i < REJECT_TARGETS && r->working; i++) {
                struct reject_entries swap = r->writing[i];

                r->writing[i] = r->waiting[i];
                r->waiting[i] = swap;
        }
        uv_mutex_unlock(&r->lock);
        r->work.data = r;
        if (r->working) {
                uv_queue_work(r->loop, &r->work, on_work, on_written);
        } else if (r->close_cb) {
                uv_close((uv_handle_t *)&r->retry, NULL);
                uv_close((uv_handle_t *)&r->wake, on_wake_closed);
        }
}

/* A failed write is retried by the timer. */
static void on_wake(uv_async_t *wake)
{
        struct reject_file *r = wake->data;

        if (!r->working && !uv_is_active((uv_handle_t *)&r->retry))
                go_on(r);
}

int reject_file_open(struct reject_file *r, uv_loop_t *loop, const char *path,
                     const struct reject_file_limits *limits)
{
        int fd;

        *r = (struct reject_file){.loop = loop, .path = path, .limits = *limits};
        if (uv_mutex_init(&r->lock) != 0 || uv_mutex_init(&r->unknown_lock) != 0 ||
            uv_async_init(loop, &r->wake, on_wake) != 0)
                abort(); /* at the very start */
        uv_timer_init(loop, &r->retry);
        r->wake.data = r;
        r->retry.data = r;
        if (!path[0])
                return 0;
        fd = open_file(path);
        if (fd < 0)
                return fd;
        close(fd);
        return 0;
}

void reject_file_close(struct reject_file *r, void (*cb)(struct reject_file *))
{
        r->close_cb = cb;
        uv_timer_stop(&r->retry);
        if (!r->working)
                go_on(r);
}

void reject_file_deinit(struct reject_file *r)
{
        uv_mutex_destroy(&r->unknown_lock);
}

bool reject_file_at_rest(struct reject_file *r)
{
        bool rest;

        uv_mutex_lock(&r->lock);
        rest = !has_lines(r->waiting) && !has_lines(r->writing);
        uv_mutex_unlock(&r->lock);
        return rest;
}

struct stats_reject_file reject_file_stats(struct reject_file *r)
{
        struct stats_reject_file stats = {.on = r->path[0] != '\0', .failing = r->failing};

        uv_mutex_lock(&r->lock);
        stats.lost_lines = r->lost_before + r->lost + r->rotated_out;
        uv_mutex_unlock(&r->lock);
        return stats;
}

static bool has_room(const struct reject_entries *e)
{
        return e->text.len <= REJECTS_WAITING_MAX;
}

/* True if the line's ad object may exist later. */
static bool is_to_be_kept(const struct reject_file *r, struct slice text, const struct reject *reject)
{
        return r->limits.keep_unknown && text.ptr && has_room(&r->waiting[REJECT_TO_UNKNOWN]) &&
               (reject->code == REJECT_UNKNOWN_ACCOUNT || reject->code == REJECT_UNKNOWN_AD_OBJECT);
}

/* Puts the name of the sender's section, if any, before the line: see unknown_lines.c. */
static void put_line(struct reject_entries *to, const struct line_from *from, struct slice text)
{
        if (from->client && from->client[0]) {
                put_str(&to->text, from->client);
                put_str(&to->text, "\t");
        }
        buf_put(&to->text, text.ptr, text.len);
        put_str(&to->text, "\n");
        to->lines++;
}

void reject_file_add(struct reject_file *r, const struct line_from *from, struct slice text,
                     const struct reject *reject, enum reject_audience audience)
{
        struct reject_entries *all = &r->waiting[REJECT_TO_FILE];
        struct reject_entries *spooled = &r->waiting[REJECT_TO_SPOOLED];
        bool recorded;

        if (!r->path[0])
                return;
        uv_mutex_lock(&r->lock);
        recorded = has_room(all);
        if (recorded)
                put_entry(all, from, text, reject, audience, false);
        if (audience == REJECT_SPOOLED) {
                recorded = has_room(spooled);
                if (recorded)
                        put_entry(spooled, from, text, reject, audience, true);
        }
        r->lost += !recorded;
        if (is_to_be_kept(r, text, reject))
                put_line(&r->waiting[REJECT_TO_UNKNOWN], from, text);
        uv_mutex_unlock(&r->lock);
        uv_async_send(&r->wake);
}
