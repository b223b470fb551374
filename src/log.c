#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static struct {
        enum log_level level;
        enum log_format format;
} logger = {LOG_LEVEL_INFO, LOG_FORMAT_PLAIN};

void log_init(enum log_level level, enum log_format format)
{
        if (format == LOG_FORMAT_AUTO)
                format = getenv("JOURNAL_STREAM") ? LOG_FORMAT_JOURNAL : LOG_FORMAT_PLAIN;
        logger.level = level;
        logger.format = format;
}

static int write_prefix(char *line, enum log_level level)
{
        static const char *const names[] = {"error", "warn", "info", "debug"};
        static const int priorities[] = {3, 4, 6, 7}; /* syslog(3): err, warning, info, debug */
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

void log_write(enum log_level level, const char *fmt, ...)
{
        char line[LINE_BYTES];
        va_list args;
        int len;
        int text;

        if (level > logger.level)
                return;
        len = write_prefix(line, level);
        va_start(args, fmt);
        text = vsnprintf(line + len, (size_t)(LINE_BYTES - len - 1), fmt, args);
        va_end(args);
        if (text < 0)
                return;
        len += text;
        if (len > LINE_BYTES - 2)
                len = LINE_BYTES - 2;
        /* One event is one line: a text from outside must not start a second one. */
        for (int i = 0; i < len; i++) {
                if (line[i] == '\n' || line[i] == '\r')
                        line[i] = ' ';
        }
        while (len > 0 && line[len - 1] == ' ')
                len--;
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
