#ifndef LOG_H
#define LOG_H

#include <stdarg.h>
#include <stdint.h>

/* Logging to standard error, one line an event. Never pass a secret: what libpq says of a connection goes
 * through here, so callers give it only texts that cannot hold a password. */

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARN,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
};

enum log_format {
        LOG_FORMAT_AUTO,    /* journal under systemd ($JOURNAL_STREAM is set), plain elsewhere */
        LOG_FORMAT_PLAIN,   /* "2026-01-02T03:04:05.678Z info text" */
        LOG_FORMAT_JOURNAL, /* "<6>text": sd-daemon(3) priority prefixes; the journal has its own clock */
};

void log_init(enum log_level level, enum log_format format);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Of what may happen often a line a second at most is logged. Zeroed at first. */
struct log_limit {
        uint64_t events;  /* since the last line */
        uint64_t told_ms; /* when that was; 0: never */
};

/* It happened once more, at loop time @now_ms: how often since the last line, or 0 where none is due yet. */
uint64_t log_limit_pass(struct log_limit *l, uint64_t now_ms);

#endif
