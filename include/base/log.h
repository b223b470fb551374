#ifndef LOG_H
#define LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* Logging to standard error, one line per event; to systemd's journal, with fields, if standard error is
 * connected to it. Untrusted text is made visible (visible.h). Callers must never pass a secret, and must
 * pass libpq's connection errors only if these cannot contain a password.
 *
 * Between log_start and log_stop a thread writes, so callers never wait for standard error. Events that do
 * not fit the queue are dropped and counted. A repeated warning or error is written once, then again with
 * the number of repetitions. Before log_start, after log_stop, and in commands, log_event writes
 * synchronously. */

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARN,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
};

enum log_format {
        LOG_FORMAT_AUTO,    /* journal if standard error is the journal's ($JOURNAL_STREAM), else plain */
        LOG_FORMAT_PLAIN,   /* "2026-01-02T03:04:05.678Z info text" */
        LOG_FORMAT_JOURNAL, /* "<6>text": sd-daemon(3) priority prefixes; the journal has its own clock. Where
                               standard error is the journal's: entries with fields, in its own protocol */
};

/* Identifies a kind of event for journalctl and programs: MESSAGE_ID= (sd_journal_send(3)). */
#define LOG_ID_STARTED            "b0cb553d582647e591dd75bb8bb50b6c"
#define LOG_ID_STOPPED            "513cf061a9ff44d6aba4e550791804b4"
#define LOG_ID_RELOADED           "9b82a6a496a245ffa53fb3e2e69cbb2f"
#define LOG_ID_CONNECTION_CLOSED  "6731d6e7f2c5470e8261989f1818fd69"
#define LOG_ID_CONNECTION_REFUSED "464e278bf71249d2b8187805ca92d385"
#define LOG_ID_LINE_REFUSED       "c1e6159eb0ab45189747a5dcc4aed7e1"
#define LOG_ID_LINES_REFUSED      "03e3cf0db1714db29dcde281a2f40ffb"
#define LOG_ID_DATABASE_AWAY      "cec1c17f07304f7cadf142685b502abd"
#define LOG_ID_DATABASE_BACK      "24b33fff03224853a3d257ead5ea55c3"
#define LOG_ID_SCHEMA             "1ff95df15ccf4631ac558fa42dcc2768"

/* Journal fields of an event besides its text, named in capitals; 0 and NULL are left out. */
struct log_fields {
        const char *message_id; /* LOG_ID_... */
        uint64_t connection;    /* number of the client connection, counted from the daemon's start */
        const char *peer;
        uint64_t line; /* line number within that connection */
        const char *code;
        const char *field;
        const char *sqlstate;
};

void log_init(enum log_level level, enum log_format format);
/* As log_init, with another path for the journal's socket. */
void log_init_at(enum log_level level, enum log_format format, const char *journal_socket);
/* Changes only the level; thread-safe. */
void log_set_level(enum log_level level);
/* The journal's SYSLOG_IDENTIFIER, "boris-ingestd" by default. Borrows @name. */
void log_set_identifier(const char *name);
void log_start(void);
/* Writes all queued events; gives up after one second if nobody reads standard error. Call it before the
 * process exits. */
void log_stop(void);
/* Number of events dropped since the start. */
uint64_t log_dropped(void);
/* @fields may be NULL. */
void log_event(enum log_level level, const struct log_fields *fields, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* LOG_FIELDS(.code = "...", ...) as the fields of one log_event call. */
#define LOG_FIELDS(...)       (&(const struct log_fields){__VA_ARGS__})

#define log_write(level, ...) log_event(level, NULL, __VA_ARGS__)

#define log_error(...)        log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)         log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)         log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)        log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Limits a frequent event to one line per second. Zeroed at first. */
struct log_limit {
        uint64_t events;  /* events since the last line */
        uint64_t told_ms; /* time of the last line; 0: never */
};

/* Counts an event at loop time @now_ms. Returns the number of events since the last line if a line is due,
 * else 0. */
uint64_t log_limit_pass(struct log_limit *l, uint64_t now_ms);

/* Limits messages of one kind to LOG_BURST at once, and then to one a second. Zeroed at first. */
struct log_burst {
        uint64_t events;    /* since the last message */
        uint64_t filled_ms; /* the time up to which seconds were counted */
        unsigned spent;     /* messages at once that are not available now; each second gives one back */
};

enum { LOG_BURST = 10 };

/* Counts an event. Returns the number of events since the last message if this one may be logged, else 0. */
uint64_t log_burst_pass(struct log_burst *b, uint64_t now_ms);

/* True unless a thread asked about the same @text within the last minute: an error that several connections meet is
 * logged once. log_news_over forgets all texts. */
bool log_is_news(const char *text);
void log_news_over(void);

#endif
