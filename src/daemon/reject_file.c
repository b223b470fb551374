/* One write is under way at a time; what is refused meanwhile gathers for the next one. A failed write loses
 * what it had: the clients were told of these lines, and the log says how many are not in the file. */
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
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/utf8.h"

static void go_on(struct reject_file *r);

/* --- a line's text --- */

static void put_str(struct buf *out, const char *text)
{
        buf_put(out, text, strlen(text));
}

static void put_escaped(struct buf *out, char c)
{
        char text[8];

        if (c == '"' || c == '\\')
                snprintf(text, sizeof(text), "\\%c", c);
        else
                snprintf(text, sizeof(text), "\\u%04x", (unsigned)(unsigned char)c);
        put_str(out, text);
}

/* Between quotes. False where something was no UTF-8. */
static bool put_string(struct buf *out, struct slice text)
{
        const char *p = text.ptr;
        const char *end = p + text.len;
        bool valid = true;

        buf_put(out, "\"", 1);
        while (p < end) {
                const char *plain = p;
                size_t n;

                while (p < end && (unsigned char)*p < 0x80 && (unsigned char)*p >= 0x20 && *p != '"' &&
                       *p != '\\')
                        p++;
                buf_put(out, plain, (size_t)(p - plain));
                if (p == end)
                        break;
                n = (unsigned char)*p >= 0x80 ? utf8_sequence(p, end) : 0;
                if (n > 0) {
                        buf_put(out, p, n);
                        p += n;
                } else if ((unsigned char)*p >= 0x80) {
                        put_str(out, "\xef\xbf\xbd");
                        valid = false;
                        p++;
                } else {
                        put_escaped(out, *p++);
                }
        }
        buf_put(out, "\"", 1);
        return valid;
}

static void put_member(struct buf *out, const char *key, const char *text)
{
        put_str(out, key);
        put_string(out, slice_str(text));
}

static void put_entry(struct buf *out, const struct line_from *from, struct slice text,
                      const struct reject *reject)
{
        char time[RFC3339_TEXT_BYTES];
        char numbers[80];

        rfc3339_format(clock_now_us(), time);
        put_member(out, "{\"time\":", time);
        put_member(out, ",\"peer\":", from->peer);
        snprintf(numbers, sizeof(numbers), ",\"connection\":%" PRIu64 ",\"line\":%" PRIu64, from->connection,
                 from->line);
        put_str(out, numbers);
        put_member(out, ",\"code\":", reject_code_name(reject->code));
        if (reject->field[0])
                put_member(out, ",\"field\":", reject->field);
        put_member(out, ",\"message\":", reject->message);
        if (text.ptr) {
                put_str(out, ",\"record\":");
                if (!put_string(out, text))
                        put_str(out, ",\"lossy\":true");
        }
        put_str(out, "}\n");
}

/* --- in one of libuv's threads --- */

static int open_file(const char *path)
{
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

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

/* FILE.1 becomes FILE.2 and so on, FILE becomes FILE.1. What cannot be renamed stays and grows. */
static void rotate(const struct reject_file *r)
{
        char from[PATH_MAX];
        char to[PATH_MAX];

        if (r->limits.keep == 0) {
                unlink(r->path);
                return;
        }
        for (unsigned n = r->limits.keep; n > 1; n--) {
                snprintf(from, sizeof(from), "%s.%u", r->path, n - 1);
                snprintf(to, sizeof(to), "%s.%u", r->path, n);
                rename(from, to);
        }
        snprintf(to, sizeof(to), "%s.1", r->path);
        rename(r->path, to);
}

static int write_file(struct reject_file *r)
{
        struct stat st;
        int fd;
        int err = 0;

        if (stat(r->path, &st) == 0 && st.st_size > 0 &&
            (size_t)st.st_size + r->writing.len > r->limits.file_bytes)
                rotate(r);
        fd = open_file(r->path);
        if (fd < 0)
                return fd;
        if (r->torn)
                err = write_all(fd, "\n", 1);
        if (err == 0)
                err = write_all(fd, r->writing.data, r->writing.len);
        r->torn = err != 0;
        close(fd);
        return err;
}

static void on_work(uv_work_t *work)
{
        struct reject_file *r = work->data;

        r->error = write_file(r);
}

/* --- on the loop --- */

/* Of the last write. */
static void tell(struct reject_file *r)
{
        uint64_t lost;

        uv_mutex_lock(&r->lock);
        if (r->error)
                r->lost += r->writing_lines;
        lost = r->lost;
        if (!r->error) {
                r->lost_before += r->lost;
                r->lost = 0;
        }
        uv_mutex_unlock(&r->lock);
        if (r->error && !r->failing)
                log_error("rejects.file %s cannot be written: %s: refused lines are not recorded", r->path,
                          strerror(-r->error));
        else if (!r->error && lost > 0)
                log_warn("rejects.file %s is written again: %" PRIu64 " refused lines are not in it", r->path,
                         lost);
        r->failing = r->error != 0;
}

static void on_written(uv_work_t *work, int status)
{
        struct reject_file *r = work->data;

        (void)status;
        tell(r);
        uv_mutex_lock(&r->lock);
        r->writing.len = 0;
        r->writing_lines = 0;
        uv_mutex_unlock(&r->lock);
        go_on(r);
}

static void on_wake_closed(uv_handle_t *handle)
{
        struct reject_file *r = handle->data;

        if (r->lost > 0)
                log_warn("rejects.file %s: %" PRIu64 " refused lines are not in it", r->path, r->lost);
        buf_deinit(&r->waiting);
        buf_deinit(&r->writing);
        uv_mutex_destroy(&r->lock);
        r->close_cb(r);
}

/* With nothing being written: begins with what waits, or ends. */
static void go_on(struct reject_file *r)
{
        struct buf swap = r->writing;
        bool work;

        uv_mutex_lock(&r->lock);
        work = r->waiting.len > 0;
        if (work) {
                r->writing = r->waiting;
                r->writing_lines = r->waiting_lines;
                r->waiting = swap;
                r->waiting_lines = 0;
        }
        uv_mutex_unlock(&r->lock);
        r->work.data = r;
        if (work)
                uv_queue_work(r->loop, &r->work, on_work, on_written);
        else if (r->close_cb)
                uv_close((uv_handle_t *)&r->wake, on_wake_closed);
}

static void on_wake(uv_async_t *wake)
{
        struct reject_file *r = wake->data;

        if (r->writing.len == 0)
                go_on(r);
}

int reject_file_open(struct reject_file *r, uv_loop_t *loop, const char *path,
                     const struct reject_file_limits *limits)
{
        int fd;

        *r = (struct reject_file){.loop = loop, .path = path, .limits = *limits};
        if (uv_mutex_init(&r->lock) != 0 || uv_async_init(loop, &r->wake, on_wake) != 0)
                abort(); /* the process has not begun anything yet */
        r->wake.data = r;
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
        if (r->writing.len == 0)
                go_on(r);
}

bool reject_file_at_rest(struct reject_file *r)
{
        bool rest;

        uv_mutex_lock(&r->lock);
        rest = r->waiting.len == 0 && r->writing.len == 0;
        uv_mutex_unlock(&r->lock);
        return rest;
}

struct stats_reject_file reject_file_stats(struct reject_file *r)
{
        struct stats_reject_file stats = {.on = r->path[0] != '\0', .failing = r->failing};

        uv_mutex_lock(&r->lock);
        stats.lost_lines = r->lost_before + r->lost;
        uv_mutex_unlock(&r->lock);
        return stats;
}

void reject_file_add(struct reject_file *r, const struct line_from *from, struct slice text,
                     const struct reject *reject)
{
        if (!r->path[0])
                return;
        uv_mutex_lock(&r->lock);
        if (r->waiting.len > REJECTS_WAITING_MAX) {
                r->lost++;
        } else {
                put_entry(&r->waiting, from, text, reject);
                r->waiting_lines++;
        }
        uv_mutex_unlock(&r->lock);
        uv_async_send(&r->wake);
}
