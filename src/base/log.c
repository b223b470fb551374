#include "base/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { LINE_BYTES = 2048, ENTRY_BYTES = 4096 };

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static struct {
        _Atomic enum log_level level;
        enum log_format format;
        int journal; /* the socket of its own protocol; -1 where there is none */
} logger = {LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, -1};

static const int priorities[] = {3, 4, 6, 7}; /* syslog(3): err, warning, info, debug */

/* systemd.exec(5): $JOURNAL_STREAM is device and inode of the journal's end. A process may have inherited the
 * variable, and write somewhere else. */
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

/* One event is one line, and one field: a text from outside must not start a second one. */
static void make_one_line(char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if (text[i] == '\n' || text[i] == '\r')
                        text[i] = ' ';
        }
}

struct entry {
        char text[ENTRY_BYTES];
        size_t len;
};

/* NAME=value and a newline; a value that does not fit is cut. */
static void put_field(struct entry *e, const char *name, const char *value)
{
        size_t room = sizeof(e->text) - e->len;
        int len;

        if (!value || room < 64)
                return;
        len = snprintf(e->text + e->len, room - 1, "%s=%s", name, value);
        if ((size_t)len > room - 2)
                len = (int)room - 2;
        make_one_line(e->text + e->len, (size_t)len);
        e->len += (size_t)len;
        e->text[e->len++] = '\n';
}

static void put_number(struct entry *e, const char *name, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        put_field(e, name, value > 0 ? text : NULL);
}

/* The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram for an entry, a line for a
 * field. False where it was not taken. */
static int write_entry(enum log_level level, const struct log_fields *fields, const char *text)
{
        struct entry e;
        char priority[2] = {(char)('0' + priorities[level]), '\0'};

        e.len = 0;
        put_field(&e, "MESSAGE", text);
        put_field(&e, "PRIORITY", priority);
        put_field(&e, "SYSLOG_IDENTIFIER", "boris-ingestd");
        if (fields) {
                put_field(&e, "MESSAGE_ID", fields->message_id);
                put_number(&e, "CONNECTION", fields->connection);
                put_field(&e, "PEER", fields->peer);
                put_number(&e, "LINE", fields->line);
                put_field(&e, "CODE", fields->code);
                put_field(&e, "FIELD", fields->field);
                put_field(&e, "SQLSTATE", fields->sqlstate);
        }
        return send(logger.journal, e.text, e.len, MSG_NOSIGNAL) == (ssize_t)e.len;
}

void log_event(enum log_level level, const struct log_fields *fields, const char *fmt, ...)
{
        char line[LINE_BYTES];
        va_list args;
        int prefix;
        int text;
        int len;

        if (level > logger.level)
                return;
        prefix = write_prefix(line, level);
        va_start(args, fmt);
        text = vsnprintf(line + prefix, (size_t)(LINE_BYTES - prefix - 1), fmt, args);
        va_end(args);
        if (text < 0)
                return;
        len = prefix + text;
        if (len > LINE_BYTES - 2)
                len = LINE_BYTES - 2;
        make_one_line(line, (size_t)len);
        while (len > 0 && line[len - 1] == ' ')
                len--;
        line[len] = '\0';
        if (logger.journal >= 0 && len >= prefix && write_entry(level, fields, line + prefix))
                return;
        line[len++] = '\n';
        if (write(STDERR_FILENO, line, (size_t)len) < 0)
                return; /* nowhere is left to say so */
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
