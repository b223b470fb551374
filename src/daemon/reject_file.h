#ifndef REJECT_FILE_H
#define REJECT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "monitor/stats.h"
#include "wire/line.h"
#include "wire/reject.h"

/* The reject file: every refused line with its reason, for operators, as JSON Lines:
 *
 *   {"time":"2026-11-23T17:00:00.000000Z","peer":"uid 1000, pid 4711","connection":3,"line":17,
 *    "client":"meta-sync","code":"bad_value","field":"amountCents","message":"...","record":"the line as it was sent"}
 *
 * "client" is the name of the sender's section, absent where there is none; "field" is absent where the reason is no single field's, "record" where the line was too long to be kept. What
 * is not UTF-8 in a line stands there as U+FFFD, and "lossy":true says so. A record longer than
 * REJECTS_RECORD_BYTES is cut, and "cut":true says so.
 *
 * A line whose client was told that it is spooled has "spooled":true. The file is the only place that tells what
 * became of it: so it stands in FILE.spooled, too, whole. No other line goes there, the daemon neither rotates nor
 * removes it, and what cannot be written there is tried again, while the line stays in the spool.
 *
 * Lines may be added in any thread; all else belongs to the loop's. Files are written in one of libuv's threads,
 * so that a slow disk never holds up the loop. Each write opens the file anew: it may be moved away at any time. A
 * file that grows over a limit becomes FILE.1, that one FILE.2, and so on; lines of the last one, which is removed,
 * are counted as lost. */

enum {
        REJECTS_WAITING_MAX = 16 << 20, /* bytes; when the disk is so far behind, lines are not recorded */
        REJECTS_RECORD_BYTES = 16 << 10,
};

struct reject_file_limits {
        size_t file_bytes; /* at which a file is rotated */
        unsigned keep;     /* rotated files */
        bool keep_unknown; /* lines of unknown objects go to FILE.unknown.new, too: see daemon/unknown_lines.h */
};

/* Whether the client learned that the line is refused. */
enum reject_audience {
        REJECT_TOLD,    /* by its reply */
        REJECT_SPOOLED, /* no: it was told that the line is spooled */
};

/* Where entries are written. */
enum reject_target {
        REJECT_TO_FILE,
        REJECT_TO_SPOOLED, /* FILE.spooled */
        REJECT_TO_UNKNOWN, /* FILE.unknown.new */
        REJECT_TARGETS,
};

/* Entries on their way to a file. */
struct reject_entries {
        struct buf text;
        uint64_t lines;
};

struct reject_file {
        uv_loop_t *loop;
        const char *path; /* borrowed; "" where nothing is recorded */
        struct reject_file_limits limits;
        uv_mutex_t lock;         /* of waiting, writing's length and what is counted */
        uv_mutex_t unknown_lock; /* of FILE.unknown.new */
        uv_async_t wake;         /* lines were added */
        uv_timer_t retry;
        struct reject_entries waiting[REJECT_TARGETS]; /* to be written next */
        struct reject_entries writing[REJECT_TARGETS]; /* while they are written; else empty */
        uv_work_t work;
        bool working;
        int error[REJECT_TARGETS]; /* of the last write: a negative errno, 0 */
        bool torn[REJECT_TARGETS]; /* the last write ended inside of a line */
        bool failing;              /* the log was told */
        uint64_t lost;             /* lines that were not recorded since then */
        uint64_t lost_before;      /* and before that */
        uint64_t dropped;          /* by the last job's rotation */
        uint64_t rotated_out;      /* by all */
        uint64_t unkept;           /* lines of unknown objects that the last job had no room for */
        struct log_limit rotations;
        void (*close_cb)(struct reject_file *);
};

/* Prepares to record to @path, "" for nowhere. 0, or a negative errno where the file cannot be written; @r is
 * to be closed in either case. */
int reject_file_open(struct reject_file *r, uv_loop_t *loop, const char *path,
                     const struct reject_file_limits *limits);

/* In any thread: whether all that was added is in the file, or given up; what is of spooled lines is never given up. */
bool reject_file_at_rest(struct reject_file *r);

/* In any thread: renames FILE.unknown.new to @to; nothing happens where there is none. */
void reject_file_take_unknown(struct reject_file *r, const char *to);

/* On the loop: what it tells of itself. */
struct stats_reject_file reject_file_stats(struct reject_file *r);

/* Writes what waits, then calls @cb, from the loop or at once. Nobody adds any more. */
void reject_file_close(struct reject_file *r, void (*cb)(struct reject_file *));

/* When the loop has ended. */
void reject_file_deinit(struct reject_file *r);

/* In any thread. @text is the line, ptr NULL where it was not kept. */
void reject_file_add(struct reject_file *r, const struct line_from *from, struct slice text,
                     const struct reject *reject, enum reject_audience audience);

#endif
