/* Every few seconds a job reads the lines of FILE.unknown and the newer ones in FILE.unknown.new, and looks
 * up their ad objects (UNKNOWN_PREPARE). Lines whose object exists are sent to the daemon on a connection of
 * their own, as any client does (UNKNOWN_SEND); acked lines are removed from FILE.unknown, which is replaced
 * atomically.
 *
 * After a crash at any moment each line is still in one of the files, or stored; a stored line that is sent
 * again is a duplicate. If the database is unavailable or the daemon stops, lines stay in the files. */
#include "daemon/unknown_lines.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <xxhash.h>

#include "base/client_section.h"
#include "base/log.h"
#include "base/memory.h"
#include "daemon/decoded.h"
#include "model/db.h"
#include "spending/lookup_blocking.h"

enum {
        PAUSE_MS = 5000,
        PAUSE_SHARE = 20, /* the job runs at most this fraction of the time */
        LOOKUP_LINES = 2000,
        REPLY_BYTES = 64 * 1024,
};

/* --- files --- */

static void path_of(const struct unknown_lines *u, const char *suffix, char ret[PATH_MAX])
{
        snprintf(ret, PATH_MAX, "%s.unknown%s", u->config->rejects.file, suffix);
}

/* Appends a file's contents; a missing file counts as empty. Returns false, with errno, on a read error. */
static bool read_file(const char *path, struct buf *out)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT;
        do {
                char *p = buf_reserve(out, REPLY_BYTES);

                n = read(fd, p, REPLY_BYTES);
                if (n > 0)
                        out->len += (size_t)n;
        } while (n > 0 || (n < 0 && errno == EINTR));
        close(fd);
        return n == 0;
}

static bool write_all(FILE *f, const struct unknown_lines *u, size_t skip)
{
        bool ok = true;

        for (size_t i = 0; i < u->len; i++) {
                const struct unknown_line *l = &u->lines[i];

                if (!l->kept)
                        continue;
                if (skip > 0) {
                        skip--;
                        continue;
                }
                ok = ok && fwrite(u->text.data + l->at, 1, l->len, f) == l->len && fputc('\n', f) != EOF;
        }
        return ok && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

/* Number of oldest lines that do not fit the file's limit. */
static size_t count_surplus(const struct unknown_lines *u)
{
        size_t bytes = 0;
        size_t surplus = 0;

        for (size_t i = 0; i < u->len; i++)
                bytes += u->lines[i].kept ? u->lines[i].len + 1 : 0;
        for (size_t i = 0; i < u->len && bytes > u->config->rejects.max_bytes; i++) {
                if (!u->lines[i].kept)
                        continue;
                bytes -= u->lines[i].len + 1;
                surplus++;
        }
        return surplus;
}

/* Replaces FILE.unknown by the remaining lines. */
static void write_back(struct unknown_lines *u)
{
        char path[PATH_MAX];
        char fresh[PATH_MAX];
        char taken[PATH_MAX];
        int fd;
        FILE *f;
        bool ok;

        path_of(u, "", path);
        path_of(u, ".tmp", fresh);
        path_of(u, ".taken", taken);
        fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
        f = fd >= 0 ? fdopen(fd, "w") : NULL;
        if (fd >= 0 && !f)
                close(fd);
        u->dropped = count_surplus(u);
        ok = f && write_all(f, u, u->dropped);
        if (f)
                fclose(f);
        if (!ok || rename(fresh, path) != 0)
                return; /* everything is retried later */
        unlink(taken);
}

/* --- a line --- */

/* "NAME<tab>{...}", or the record alone: no record begins as a name does. */
static size_t read_name(const char *text, size_t len)
{
        size_t n = 0;

        while (n < len && (isalnum((unsigned char)text[n]) || (text[n] && strchr("-_.+", text[n]))))
                n++;
        return n < len && n < CLIENT_ORIGIN_BYTES && text[n] == '\t' ? n : 0;
}

static struct slice record_of(const struct unknown_lines *u, const struct unknown_line *l)
{
        size_t skip = l->name_len > 0 ? l->name_len + 1 : 0;

        return (struct slice){u->text.data + l->at + skip, l->len - skip};
}

static struct slice name_of(const struct unknown_lines *u, const struct unknown_line *l)
{
        return (struct slice){u->text.data + l->at, l->name_len};
}

/* --- which lines may be sent --- */

static bool has_identity(const struct spending_record *rec)
{
        return rec->has_id || rec->receipt == 0;
}

struct lookup {
        struct unknown_lines *u;
        size_t lines[LOOKUP_LINES]; /* line of each record in the query */
        size_t len;
};

static void on_found(void *ctx, size_t record, int64_t accounts, const struct uuid *object)
{
        struct lookup *l = ctx;

        (void)accounts;
        l->u->lines[l->lines[record]].ready = object != NULL;
        l->u->ready += object != NULL;
}

/* Looks up all lines. Returns false if the database does not answer. */
static bool look_up(struct unknown_lines *u, struct db *db)
{
        struct field_reader reader = decoded_reader(u->config->limits.max_line_bytes);
        struct lookup_blocking question = {.len = 0};
        struct lookup l = {.u = u};
        bool ok = true;

        for (size_t i = 0; i < u->len && ok; i++) {
                struct line line = {.text = record_of(u, &u->lines[i]), .receipt = {1, 1}};
                struct decoded decoded;
                struct reject reject;

                u->lines[i].kept = u->lines[i].kept && decoded_read(&reader, &line, &decoded, &reject) &&
                                   decoded.kind == RECORD_SPENDING && has_identity(&decoded.as.spending.rec);
                if (!u->lines[i].kept)
                        continue;
                lookup_blocking_add(&question, &decoded.as.spending.rec);
                l.lines[l.len++] = i;
                if (l.len < LOOKUP_LINES)
                        continue;
                ok = lookup_blocking_run(&question, db, on_found, &l) == 0;
                l.len = 0;
        }
        ok = ok && lookup_blocking_run(&question, db, on_found, &l) == 0;
        lookup_blocking_deinit(&question);
        field_reader_deinit(&reader);
        return ok;
}

struct hashed_line {
        XXH128_hash_t hash;
        size_t line;
};

/* By hash; of equal ones by place in the file. */
static int compare_hashed(const void *x, const void *y)
{
        const struct hashed_line *a = x;
        const struct hashed_line *b = y;
        int order = XXH128_cmp(&a->hash, &b->hash);

        return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* Keeps only one copy of each line, so a client that resends its rejected lines does not fill the file. */
static void drop_repeated(struct unknown_lines *u)
{
        struct hashed_line *sorted = must_calloc(u->len + 1, sizeof(*sorted));

        for (size_t i = 0; i < u->len; i++) {
                sorted[i].hash = XXH3_128bits(u->text.data + u->lines[i].at, u->lines[i].len);
                sorted[i].line = i;
        }
        qsort(sorted, u->len, sizeof(*sorted), compare_hashed);
        for (size_t i = 0; i < u->len; i++)
                u->lines[sorted[i].line].kept = i == 0 || !XXH128_isEqual(sorted[i - 1].hash, sorted[i].hash);
        free(sorted);
}

static void cut_lines(struct unknown_lines *u)
{
        size_t at = 0;

        while (at < u->text.len) {
                const char *start = u->text.data + at;
                const char *end = memchr(start, '\n', u->text.len - at);
                size_t len = end ? (size_t)(end - start) : u->text.len - at;

                if (u->len == u->cap)
                        u->lines = array_grow(u->lines, &u->cap, sizeof(*u->lines));
                if (len > 0)
                        u->lines[u->len++] = (struct unknown_line){
                                .at = at, .len = len, .name_len = read_name(start, len)};
                at += len + 1;
        }
}

/* Reads the files. Returns false if there is nothing to do now. */
static bool read_lines(struct unknown_lines *u)
{
        char path[PATH_MAX];
        char taken[PATH_MAX];

        path_of(u, "", path);
        path_of(u, ".taken", taken);
        if (access(taken, F_OK) != 0)
                reject_file_take_unknown(u->rejects, taken);
        u->taken = access(taken, F_OK) == 0;
        if (!read_file(path, &u->text))
                return false;
        if (u->text.len > 0 && u->text.data[u->text.len - 1] != '\n')
                buf_put(&u->text, "\n", 1);
        if (!read_file(taken, &u->text))
                return false;
        cut_lines(u);
        return u->len > 0;
}

/* A connection is for one sender's lines: the first one's. Others have their turn in a later job. */
static void choose_sender(struct unknown_lines *u)
{
        const struct unknown_line *first = NULL;

        for (size_t i = 0; i < u->len; i++) {
                struct unknown_line *l = &u->lines[i];

                if (!l->ready)
                        continue;
                if (!first)
                        first = l;
                l->ready = slice_eq(name_of(u, l), name_of(u, first));
                u->ready -= !l->ready;
        }
        u->sender = first ? name_of(u, first) : SLICE_LIT("");
}

static void prepare(uv_work_t *work)
{
        struct unknown_lines *u = work->data;
        struct db db;
        bool ok = false;

        u->text.len = 0;
        u->len = 0;
        u->ready = 0;
        u->settled = 0;
        u->dropped = 0;
        if (!read_lines(u)) {
                u->len = 0;
                return;
        }
        drop_repeated(u);
        if (db_open(&db, u->config->database.url) == 0)
                ok = look_up(u, &db);
        if (ok)
                choose_sender(u);
        else
                u->len = 0; /* retry later */
        if (!ok)
                log_debug("lines of unknown ad objects: %s", db.error);
        db_close(&db);
}

/* --- sending --- */

/* Returns the number of the last ack; @before if @replies contains no complete ack. */
static uint64_t last_ack(const char *replies, uint64_t before)
{
        const char *p = replies;
        uint64_t ack = before;

        while ((p = strstr(p, "{\"ack\":"))) {
                if (strchr(p, '\n'))
                        sscanf(p, "{\"ack\":%" SCNu64, &ack);
                p++;
        }
        return ack;
}

/* Reads replies. Returns false at their end. */
static bool receive(struct unknown_lines *u, struct buf *replies)
{
        char *p = buf_reserve(replies, REPLY_BYTES + 1);
        ssize_t n = recv(u->fd, p, REPLY_BYTES, 0);
        char *newline;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0)
                return false;
        replies->len += (size_t)n;
        replies->data[replies->len] = '\0';
        u->settled = (size_t)last_ack(replies->data, u->settled);
        newline = memrchr(replies->data, '\n', replies->len);
        if (newline) {
                replies->len -= (size_t)(newline + 1 - replies->data);
                memmove(replies->data, newline + 1, replies->len);
        }
        return true;
}

static void put_ready(const struct unknown_lines *u, struct buf *out)
{
        static const char hello[] = "{\"kind\":\"hello\",\"client\":\"boris-ingestd\",\"onBehalfOf\":\"";

        if (u->sender.len > 0) {
                buf_put(out, hello, sizeof(hello) - 1);
                buf_put(out, u->sender.ptr, u->sender.len);
                buf_put(out, "\"}\n", 3);
        }
        for (size_t i = 0; i < u->len; i++) {
                if (!u->lines[i].ready)
                        continue;
                buf_put(out, record_of(u, &u->lines[i]).ptr, record_of(u, &u->lines[i]).len);
                buf_put(out, "\n", 1);
        }
}

static void converse(struct unknown_lines *u)
{
        struct buf out = {0};
        struct buf replies = {0};
        size_t sent = 0;
        bool open = true;

        put_ready(u, &out);
        while (open) {
                struct pollfd p = {u->fd, (short)(POLLIN | (sent < out.len ? POLLOUT : 0)), 0};

                if (poll(&p, 1, -1) < 0 && errno != EINTR)
                        abort(); /* memory */
                if (p.revents & POLLOUT && sent < out.len) {
                        ssize_t n = send(u->fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);

                        if (n > 0)
                                sent += (size_t)n;
                        if (sent == out.len || (n < 0 && errno != EAGAIN && errno != EINTR))
                                shutdown(u->fd, SHUT_WR);
                        if (n < 0 && errno != EAGAIN && errno != EINTR)
                                sent = out.len;
                }
                if (p.revents & (POLLIN | POLLHUP | POLLERR))
                        open = receive(u, &replies);
        }
        buf_deinit(&out);
        buf_deinit(&replies);
}

/* Removes the first lines, which are settled: stored, or rejected finally. */
static void drop_settled(struct unknown_lines *u)
{
        size_t left = u->settled;

        for (size_t i = 0; i < u->len && left > 0; i++) {
                if (!u->lines[i].ready)
                        continue;
                u->lines[i].kept = false;
                left--;
        }
}

static void send_lines(uv_work_t *work)
{
        struct unknown_lines *u = work->data;

        if (u->fd >= 0) {
                converse(u);
                close(u->fd);
                u->settled -= u->settled > 0 && u->sender.len > 0; /* the hello */
                drop_settled(u);
        }
        if (u->taken || u->settled > 0)
                write_back(u);
}

/* --- on the loop --- */

static void on_pause_over(uv_timer_t *timer);

static void start_pause(struct unknown_lines *u)
{
        uint64_t pause = (uv_now(u->loop) - u->begun_ms) * PAUSE_SHARE;

        u->state = UNKNOWN_PAUSE;
        if (!u->closing)
                uv_timer_start(&u->timer, on_pause_over, pause > PAUSE_MS ? pause : PAUSE_MS, 0);
}

static void on_sent(uv_work_t *work, int status)
{
        struct unknown_lines *u = work->data;

        (void)status;
        if (u->fd >= 0)
                log_info("%zu of %zu rejected lines resent: their ad objects exist now", u->settled,
                         u->ready);
        if (u->dropped > 0)
                log_warn(
                        "rejects.file %s: %" PRIu64
                        " lines of unknown ad objects are not kept any longer (raise rejects.max_bytes, or send the "
                        "hierarchy)",
                        u->config->rejects.file, u->dropped);
        start_pause(u);
}

static void on_prepared(uv_work_t *work, int status)
{
        struct unknown_lines *u = work->data;

        (void)status;
        if (u->len == 0 || u->closing) {
                start_pause(u);
                return;
        }
        u->state = UNKNOWN_SEND;
        u->fd = u->ready > 0 ? u->connect(u->ctx) : -1;
        uv_queue_work(u->loop, &u->work, send_lines, on_sent);
}

static void on_pause_over(uv_timer_t *timer)
{
        struct unknown_lines *u = timer->data;

        u->state = UNKNOWN_PREPARE;
        u->begun_ms = uv_now(u->loop);
        uv_queue_work(u->loop, &u->work, prepare, on_prepared);
}

void unknown_lines_init(struct unknown_lines *u, uv_loop_t *loop)
{
        *u = (struct unknown_lines){.loop = loop, .fd = -1};
        uv_timer_init(loop, &u->timer);
        u->timer.data = u;
        u->work.data = u;
}

void unknown_lines_start(struct unknown_lines *u, const struct config *config, struct reject_file *rejects,
                         int (*connect)(void *ctx), void *ctx)
{
        u->config = config;
        u->rejects = rejects;
        u->connect = connect;
        u->ctx = ctx;
        u->begun_ms = uv_now(u->loop);
        start_pause(u);
}

void unknown_lines_close(struct unknown_lines *u)
{
        u->closing = true;
        if (!uv_is_closing((uv_handle_t *)&u->timer))
                uv_close((uv_handle_t *)&u->timer, NULL);
}

void unknown_lines_deinit(struct unknown_lines *u)
{
        u->state = UNKNOWN_CLOSED;
        buf_deinit(&u->text);
        free(u->lines);
}
