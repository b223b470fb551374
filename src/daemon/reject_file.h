#ifndef REJECT_FILE_H
#define REJECT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "base/slice.h"
#include "monitor/stats.h"
#include "wire/line.h"
#include "wire/reject.h"

/* The reject file: every refused line with its reason, for operators, as JSON Lines:
 *
 *   {"time":"2026-11-23T17:00:00.000000Z","peer":"uid 1000, pid
 * 4711","connection":3,"line":17,"code":"bad_value", "field":"amountCents","message":"...","record":"the line
 * as it was sent"}
 *
 * "field" is absent where the reason is no single field's, "record" where the line was too long to be kept.
 * What is not UTF-8 in a line stands there as U+FFFD, and "lossy":true says so.
 *
 * Lines may be added in any thread; all else belongs to the loop's. Files are written in one of libuv's
 * threads, so that a slow disk never holds up the loop. Each write opens the file anew: it may be moved away
 * at any time. A file that grows over a limit becomes FILE.1, that one FILE.2, and so on. */

enum { REJECTS_WAITING_MAX = 16 << 20 }; /* bytes; when the disk is so far behind, lines are not recorded */

struct reject_file_limits {
        size_t file_bytes; /* at which a file is rotated */
        unsigned keep;     /* rotated files */
};

struct reject_file {
        uv_loop_t *loop;
        const char *path; /* borrowed; "" where nothing is recorded */
        struct reject_file_limits limits;
        uv_mutex_t lock;        /* of waiting, writing's length and what is counted */
        uv_async_t wake;        /* lines were added */
        struct buf waiting;     /* to be written next */
        struct buf writing;     /* while it is written; else empty */
        uint64_t waiting_lines; /* in each */
        uint64_t writing_lines;
        uv_work_t work;
        int error;            /* of the last write: a negative errno, 0 */
        bool torn;            /* the last write ended inside of a line */
        bool failing;         /* the log was told */
        uint64_t lost;        /* lines that were not recorded since then */
        uint64_t lost_before; /* and before that */
        void (*close_cb)(struct reject_file *);
};

/* Prepares to record to @path, "" for nowhere. 0, or a negative errno where the file cannot be written; @r is
 * to be closed in either case. */
int reject_file_open(struct reject_file *r, uv_loop_t *loop, const char *path,
                     const struct reject_file_limits *limits);

/* In any thread: whether all that was added is in the file, or given up. */
bool reject_file_at_rest(struct reject_file *r);

/* On the loop: what it tells of itself. */
struct stats_reject_file reject_file_stats(struct reject_file *r);

/* Writes what waits, then calls @cb, from the loop or at once. Nobody adds any more. */
void reject_file_close(struct reject_file *r, void (*cb)(struct reject_file *));

/* In any thread. @text is the line, ptr NULL where it was not kept. */
void reject_file_add(struct reject_file *r, const struct line_from *from, struct slice text,
                     const struct reject *reject);

#endif
