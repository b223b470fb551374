#ifndef LOG_QUEUE_H
#define LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bounded queue between the callers of the log and the thread that writes: callers never wait for the
 * pipe, terminal or journal behind standard error. Items that do not fit are dropped and counted. */

/* One event: @line for standard error, with its line feed, and an entry for the journal if that is connected
 * (else @entry_len is 0). */
struct log_item {
        unsigned level;    /* enum log_level */
        size_t prefix_len; /* length of what precedes the text in line */
        const char *line;
        size_t line_len;
        const char *entry;
        size_t entry_len;
};

/* Called only in the thread; may block. */
struct log_queue_ops {
        /* Writes an item and returns false, or holds it back and returns true. */
        bool (*write)(const struct log_item *item);
        /* Writes the held-back item, after a pause or at the end. */
        void (*flush)(void);
        /* Records that @dropped items are missing at this point. */
        void (*gap)(uint64_t dropped);
};

/* Starts the thread. Returns false if it cannot be started. */
bool log_queue_start(const struct log_queue_ops *ops);

/* Waits until all items are written, then ends the thread. If standard error is blocked for a second, or too
 * long altogether, the thread is left running and later items are not written. */
void log_queue_stop(void);

bool log_queue_running(void);

/* @urgent items may use the extra capacity. */
void log_queue_put(const struct log_item *item, bool urgent);

/* Number of items dropped since the process started. */
uint64_t log_queue_dropped(void);

#endif
