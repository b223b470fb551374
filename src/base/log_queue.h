#ifndef LOG_QUEUE_H
#define LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bounded queue between those who log and a thread that writes: who logs never waits for the pipe, terminal or
 * journal behind standard error. What finds it full is dropped and counted. */

/* One event: @line for standard error, with its newline, and the same as an entry for the journal, where there is
 * one (@entry_len is 0 where not). */
struct log_item {
        unsigned level;    /* enum log_level */
        size_t prefix_len; /* of line: what stands before the text */
        const char *line;
        size_t line_len;
        const char *entry;
        size_t entry_len;
};

/* Called in the thread alone; they may block. */
struct log_queue_ops {
        /* Writes an item, or holds it back: true. */
        bool (*write)(const struct log_item *item);
        /* Writes what is held back: nothing came for a while, or it is the end. */
        void (*flush)(void);
        /* Writes down that @dropped items are missing here. */
        void (*gap)(uint64_t dropped);
};

/* Starts the thread. False where that is impossible. */
bool log_queue_start(const struct log_queue_ops *ops);

/* Waits until all is written, and ends the thread. Where nobody reads for a second, or for too long, the thread is
 * left as it is: then the queue runs on, and nothing that is put is written. */
void log_queue_stop(void);

bool log_queue_running(void);

/* @urgent items find room when others do not. */
void log_queue_put(const struct log_item *item, bool urgent);

/* Since the process started. */
uint64_t log_queue_dropped(void);

#endif
