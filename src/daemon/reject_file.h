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

/* The reject file: every rejected line with its reason, for operators, as JSON Lines:
 *
 *   {"time":"2026-11-23T17:00:00.000000Z","peer":"uid 1000, pid 4711","connection":3,"line":17,
 *    "client":"meta-sync","code":"bad_value","field":"amountCents","message":"...","record":"the line as it was sent"}
 *
 * "client" is the name of the sender's section, absent without one; "field" is absent if the reason concerns no single field,
 * "record" if the line was too long to be kept. Bytes that are not UTF-8 are replaced by U+FFFD, and "lossy":true says so. A record longer than
 * REJECTS_RECORD_BYTES is cut, and "cut":true says so.
 *
 * A line whose client was told that it is spooled has "spooled":true. Only the file records its outcome,
 * so the line is also written, whole, to FILE.spooled. No other line is in that file, and the daemon neither rotates nor
 * removes it. If writing fails, it is retried, and the line stays in the spool.
 *
 * Lines may be added in any thread; all else belongs to the loop's. Files are written in one of libuv's threads,
 * so that a slow disk never holds up the loop. Each write opens the file anew: it may be moved away at any time. A
 * file that grows over a limit becomes FILE.1, that one FILE.2, and so on; lines of the last one, which is removed,
 * are counted as lost. */

enum {
        REJECTS_WAITING_MAX = 16 << 20, /* waiting bytes; beyond this number entries are not recorded */
        REJECTS_RECORD_BYTES = 16 << 10,
};

struct reject_file_limits {
        size_t file_bytes; /* size at which a file is rotated */
        unsigned keep;     /* number of rotated files */
        /* lines with unknown objects are also written to FILE.unknown.new: see daemon/unknown_lines.h */
        bool keep_unknown;
};

/* Whether the client knows that the line was rejected. */
enum reject_audience {
        REJECT_TOLD,    /* yes, by its reply */
        REJECT_SPOOLED, /* no: the line was acked as spooled */
};

/* The file an entry is written to. */
enum reject_target {
        REJECT_TO_FILE,
        REJECT_TO_SPOOLED, /* FILE.spooled */
        REJECT_TO_UNKNOWN, /* FILE.unknown.new */
        REJECT_TARGETS,
};

/* Entries to be written to a file. */
struct reject_entries {
        struct buf text;
        uint64_t lines;
};

struct reject_file {
        uv_loop_t *loop;
        const char *path; /* borrowed; "": nothing is recorded */
        struct reject_file_limits limits;
        uv_mutex_t lock;         /* protects waiting, the length of writing, and the counters */
        uv_mutex_t unknown_lock; /* protects FILE.unknown.new */
        uv_async_t wake;         /* signals added entries */
        uv_timer_t retry;
        struct reject_entries waiting[REJECT_TARGETS]; /* to be written next */
        struct reject_entries writing[REJECT_TARGETS]; /* being written; otherwise empty */
        uv_work_t work;
        bool working;
        int error[REJECT_TARGETS]; /* of the last write: a negative errno, or 0 */
        bool torn[REJECT_TARGETS]; /* the last write ended within a line */
        bool failing;              /* the failure was logged */
        uint64_t lost;             /* entries not recorded since the failure began */
        uint64_t lost_before;      /* and before it began */
        uint64_t dropped;          /* entries dropped by the last job's rotation */
        uint64_t rotated_out;      /* entries dropped by all rotations */
        uint64_t unkept;           /* lines with unknown objects dropped by the last job for lack of space */
        struct log_limit rotations;
        void (*close_cb)(struct reject_file *);
};

/* Prepares to record to @path, "" for nowhere. Returns 0, or a negative errno if the file cannot be written;
 * the caller closes @r in either case. */
int reject_file_open(struct reject_file *r, uv_loop_t *loop, const char *path,
                     const struct reject_file_limits *limits);

/* True if all added entries are written or given up; entries of spooled lines are never given up. May be
 * called in any thread. */
bool reject_file_at_rest(struct reject_file *r);

/* Renames FILE.unknown.new to @to if it exists. May be called in any thread. */
void reject_file_take_unknown(struct reject_file *r, const char *to);

/* Returns the stats; in the loop's thread. */
struct stats_reject_file reject_file_stats(struct reject_file *r);

/* Writes what waits, then calls @cb, from the loop or immediately. Nothing may be added any more. */
void reject_file_close(struct reject_file *r, void (*cb)(struct reject_file *));

/* When the loop has ended. */
void reject_file_deinit(struct reject_file *r);

/* May be called in any thread. @text is the line; ptr NULL if it was not kept. */
void reject_file_add(struct reject_file *r, const struct line_from *from, struct slice text,
                     const struct reject *reject, enum reject_audience audience);

#endif
