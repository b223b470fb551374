#ifndef UNKNOWN_LINES_H
#define UNKNOWN_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/slice.h"
#include "daemon/reject_file.h"

/* rejects.replay_unknown: spending lines that were rejected because their ad account or ad object is unknown are resent once
 * it exists. The lines are kept in FILE.unknown, beside rejects.file; a line that is rejected again is recorded and kept
 * again. Only lines with collectedAt or id are kept: if such a line is sent twice, it is a duplicate. Each line is judged by
 * the rules of its first sender. */

enum unknown_state {
        UNKNOWN_OFF,
        UNKNOWN_PAUSE,
        UNKNOWN_PREPARE, /* in a thread: which lines can be sent? */
        UNKNOWN_SEND, /* a thread sends the lines whose ad object exists; the other lines stay in the file */
        UNKNOWN_CLOSED,
};

struct unknown_line {
        size_t at; /* offset in text */
        size_t len;
        size_t name_len; /* of its sender's section, which precedes it with a tab; 0: none */
        bool kept;       /* false: not a line to be replayed */
        bool ready;
};

struct unknown_lines {
        uv_loop_t *loop;
        const struct config *config;
        struct reject_file *rejects;
        int (*connect)(void *ctx); /* creates a client of this daemon; returns its descriptor, or -1 */
        void *ctx;
        enum unknown_state state;
        bool closing;
        uv_timer_t timer;
        uv_work_t work;
        uint64_t begun_ms; /* loop time in ms at which the job began */
        struct buf text;   /* contents of the files */
        struct unknown_line *lines;
        size_t len;
        size_t cap;
        bool taken;          /* text includes new lines */
        size_t ready;        /* lines that may be sent: those of one sender */
        struct slice sender; /* the name of its section, in text; "" for none */
        size_t settled;      /* number of these that are settled, the first ones */
        uint64_t dropped;
        int fd; /* of the client; -1: nothing to send */
};

void unknown_lines_init(struct unknown_lines *u, uv_loop_t *loop);

/* @connect is called on the loop. */
void unknown_lines_start(struct unknown_lines *u, const struct config *config, struct reject_file *rejects,
                         int (*connect)(void *ctx), void *ctx);

/* Starts no further job. A running job ends when the daemon closes its client. May be called twice. */
void unknown_lines_close(struct unknown_lines *u);

/* When the loop has ended. */
void unknown_lines_deinit(struct unknown_lines *u);

#endif
