#include "base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/log_queue.h"
#include "base/visible.h"

enum {
        LINE_BYTES = 2048,
        ENTRY_BYTES = 4096,
        NEWS_TEXTS = 16,
        NEWS_MS = 60000,
        REPEAT_MS = 10000, /* how long a repeated event is held back at most */
};

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static struct {
        _Atomic enum log_level level;
        enum log_format format;
        int journal; /* socket of the journal's native protocol; -1: none */
        const char *identifier;
} logger = {LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, -1, "boris-ingestd"};

static const int priorities[] = {3, 4, 6, 7}; /* syslog(3): err, warning, info, debug */

/* $JOURNAL_STREAM holds device and inode of the journal's stream (systemd.exec(5)). The process may have
 * inherited the variable but write elsewhere. */
static int stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        char here[64];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) != 0)
                return 0;
        snprintf(here, sizeof(here), "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
        return strcmp(stream, here) == 0;
}

static int connect_journal(const char *path)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
                close(fd);
                fd = -1;
        }
        return fd;
}

void log_init_at(enum log_level level, enum log_format format, const char *journal_socket)
{
        int journal = stderr_is_journal();

        if (logger.journal >= 0)
                close(logger.journal);
        if (format == LOG_FORMAT_AUTO)
                format = journal ? LOG_FORMAT_JOURNAL : LOG_FORMAT_PLAIN;
        logger.level = level;
        logger.format = format;
        logger.journal = format == LOG_FORMAT_JOURNAL && journal ? connect_journal(journal_socket) : -1;
}

void log_init(enum log_level level, enum log_format format)
{
        log_init_at(level, format, JOURNAL_SOCKET);
}

void log_set_identifier(const char *name)
{
        logger.identifier = name;
}

void log_set_level(enum log_level level)
{
        logger.level = level;
}

static int write_prefix(char *line, enum log_level level)
{
        static const char *const names[] = {"error", "warn", "info", "debug"};
        struct timespec now;
        struct tm tm;
        char date[32];

        if (logger.format == LOG_FORMAT_JOURNAL)
                return snprintf(line, LINE_BYTES, "<%d>", priorities[level]);
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        return snprintf(line, LINE_BYTES, "%s.%03ldZ %s ", date, now.tv_nsec / 1000000, names[level]);
}

/* Replaces whatever could start a second line or field or control a terminal. Returns the length, which
 * never grows. */
static size_t make_one_line(char *text)
{
        for (char *p = text; *p; p++) {
                if (*p == '\n' || *p == '\r' || *p == '\t')
                        *p = ' ';
        }
        return strlen(visible_copy(text, text, strlen(text) + 1));
}

struct entry {
        char text[ENTRY_BYTES];
        size_t len;
};

/* Appends NAME=value and a line feed; cuts a value that does not fit. */
static void put_field(struct entry *e, const char *name, const char *value)
{
        size_t room = sizeof(e->text) - e->len;
        int len;

        if (!value || room < 64)
                return;
        len = snprintf(e->text + e->len, room - 1, "%s=%s", name, value);
        if (len < 0)
                return;
        e->len += make_one_line(e->text + e->len);
        e->text[e->len++] = '\n';
}

static void put_number(struct entry *e, const char *name, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        put_field(e, name, value > 0 ? text : NULL);
}

/* The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram per entry, one line per
 * field. */
static void format_entry(struct entry *e, enum log_level level, const struct log_fields *fields,
                         const char *text)
{
        char priority[2] = {(char)('0' + priorities[level]), '\0'};

        e->len = 0;
        put_field(e, "MESSAGE", text);
        put_field(e, "PRIORITY", priority);
        put_field(e, "SYSLOG_IDENTIFIER", logger.identifier);
        if (fields) {
                put_field(e, "MESSAGE_ID", fields->message_id);
                put_number(e, "CONNECTION", fields->connection);
                put_field(e, "PEER", fields->peer);
                put_number(e, "LINE", fields->line);
                put_field(e, "CODE", fields->code);
                put_field(e, "FIELD", fields->field);
                put_field(e, "SQLSTATE", fields->sqlstate);
        }
}

/* --- writing --- */

static void write_item(const struct log_item *item)
{
        if (item->entry_len > 0 &&
            send(logger.journal, item->entry, item->entry_len, MSG_NOSIGNAL) == (ssize_t)item->entry_len)
                return;
        if (write(STDERR_FILENO, item->line, item->line_len) < 0)
                return; /* there is nowhere left to report this */
}

/* A formatted event: a line, and an entry if the journal is connected. */
struct formatted {
        char line[LINE_BYTES];
        struct entry entry;
        struct log_item item;
};

static void vformat(struct formatted *f, enum log_level level, const struct log_fields *fields,
                    const char *fmt, va_list args)
{
        size_t prefix = (size_t)write_prefix(f->line, level);
        size_t len;

        if (vsnprintf(f->line + prefix, LINE_BYTES - prefix - 1, fmt, args) < 0)
                f->line[prefix] = '\0';
        len = prefix + make_one_line(f->line + prefix);
        while (len > prefix && f->line[len - 1] == ' ')
                len--;
        f->line[len] = '\0';
        f->entry.len = 0;
        if (logger.journal >= 0)
                format_entry(&f->entry, level, fields, f->line + prefix);
        f->line[len++] = '\n';
        f->item = (struct log_item){.level = level,
                                    .prefix_len = prefix,
                                    .line = f->line,
                                    .line_len = len,
                                    .entry = f->entry.text,
                                    .entry_len = f->entry.len};
}

/* --- in the queue's thread --- */

/* The last event, and how often it was repeated since it was written. */
static struct {
        char text[LINE_BYTES];
        size_t len;
        unsigned level;
        uint64_t times; /* 0: not held back */
        int64_t since_ms;
} last;

static void __attribute__((format(printf, 2, 3))) write_own(enum log_level level, const char *fmt, ...)
{
        struct formatted f;
        va_list args;

        va_start(args, fmt);
        vformat(&f, level, NULL, fmt, args);
        va_end(args);
        write_item(&f.item);
}

static void write_repeats(void)
{
        if (last.times > 0)
                write_own(last.level, "%.*s (\u00d7 %" PRIu64 ")", (int)(last.len < 1900 ? last.len : 1900),
                          last.text, last.times);
        last.times = 0;
}

static bool repeats(const struct log_item *item)
{
        return item->level <= LOG_LEVEL_WARN && item->level == last.level &&
               item->line_len - 1 - item->prefix_len == last.len &&
               memcmp(item->line + item->prefix_len, last.text, last.len) == 0;
}

static bool write_queued(const struct log_item *item)
{
        int64_t now = clock_monotonic_ms();

        if (repeats(item) && (last.times == 0 || now - last.since_ms < REPEAT_MS)) {
                if (last.times++ == 0) {
                        last.times++; /* already written once */
                        last.since_ms = now;
                }
                return true;
        }
        write_repeats();
        write_item(item);
        last.level = item->level;
        last.len = item->line_len - 1 - item->prefix_len;
        memcpy(last.text, item->line + item->prefix_len, last.len);
        return false;
}

static void write_gap(uint64_t dropped)
{
        write_repeats();
        last.len = 0;
        write_own(LOG_LEVEL_WARN,
                  "%" PRIu64 " log messages were dropped: standard error was not read in time", dropped);
}

/* --- for all --- */

void log_start(void)
{
        static const struct log_queue_ops ops = {
                .write = write_queued, .flush = write_repeats, .gap = write_gap};

        last.times = 0;
        last.len = 0;
        if (!log_queue_start(&ops))
                log_warn(
                        "cannot start a thread for the log: a slow reader of standard error may delay the daemon");
}

void log_stop(void)
{
        log_queue_stop();
}

uint64_t log_dropped(void)
{
        return log_queue_dropped();
}

void log_event(enum log_level level, const struct log_fields *fields, const char *fmt, ...)
{
        struct formatted f;
        va_list args;

        if (level > logger.level)
                return;
        va_start(args, fmt);
        vformat(&f, level, fields, fmt, args);
        va_end(args);
        if (log_queue_running())
                log_queue_put(&f.item, level == LOG_LEVEL_ERROR);
        else
                write_item(&f.item);
}

/* --- what is news --- */

static struct {
        pthread_mutex_t lock;
        struct {
                uint64_t hash;
                int64_t at_ms;
        } texts[NEWS_TEXTS];
        size_t next; /* to be overwritten */
} news = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool log_is_news(const char *text)
{
        uint64_t hash = XXH3_64bits(text, strlen(text));
        int64_t now = clock_monotonic_ms();
        bool known = false;

        pthread_mutex_lock(&news.lock);
        for (size_t i = 0; i < NEWS_TEXTS; i++)
                known |= news.texts[i].hash == hash && news.texts[i].at_ms > 0 &&
                         now - news.texts[i].at_ms < NEWS_MS;
        if (!known) {
                news.texts[news.next].hash = hash;
                news.texts[news.next].at_ms = now;
                news.next = (news.next + 1) % NEWS_TEXTS;
        }
        pthread_mutex_unlock(&news.lock);
        return !known;
}

void log_news_over(void)
{
        pthread_mutex_lock(&news.lock);
        memset(news.texts, 0, sizeof(news.texts));
        pthread_mutex_unlock(&news.lock);
}

uint64_t log_limit_pass(struct log_limit *l, uint64_t now_ms)
{
        uint64_t events = ++l->events;

        if (l->told_ms > 0 && now_ms - l->told_ms < 1000)
                return 0;
        l->events = 0;
        l->told_ms = now_ms;
        return events;
}

uint64_t log_burst_pass(struct log_burst *b, uint64_t now_ms)
{
        uint64_t seconds = (now_ms - b->filled_ms) / 1000;
        uint64_t events = ++b->events;

        b->spent -= seconds < b->spent ? (unsigned)seconds : b->spent;
        b->filled_ms = b->spent > 0 ? b->filled_ms + seconds * 1000 : now_ms;
        if (b->spent == LOG_BURST)
                return 0;
        b->spent++;
        b->events = 0;
        return events;
}
