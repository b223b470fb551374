#ifndef SPOOL_H
#define SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/memory.h"
#include "spool/spool_file.h"
#include "wire/line.h"

/* Lines that wait on disk for the database, in order of arrival. Each is added, made durable, replayed
 * ("drained" in names), settled, erased. A worker thread uses the file, one job at a time: a job writes all
 * collected lines in one transaction, then reads a chunk if the owner wants one. An account
 * (spool_account.h) records what is acked, erased and missing; lines found missing on opening are logged and
 * counted as lost. */

enum {
        SPOOL_PENDING_MAX = 4 << 20, /* bytes of lines not yet durable at which no more should be added */
        SPOOL_CHUNK_LINES = 4000,    /* lines replayed at once, at most */
        SPOOL_CHUNK_BYTES = 1 << 20, /* bytes replayed at once, at most, but at least one line */
        SPOOL_RETRY_MS = 1000,       /* interval at which a file that cannot be written is tried again */
};

/* A drained line's place, its line.in_spool. */
struct spool_line {
        unsigned generation; /* of its file */
        struct spool_place place;
        size_t bytes;
        struct line_from from; /* as when the line was received; its texts are in names */
        size_t size;           /* of all of this */
        char names[];
};

struct spool_ops {
        /* The line is durable; the callback takes it over. */
        void (*on_spooled)(void *ctx, struct line *line);
        /* True if lines may be replayed now. */
        bool (*may_drain)(void *ctx);
        /* True if settled lines may be erased now, because their outcome is recorded elsewhere. */
        bool (*may_erase)(void *ctx);
        /* A line comes back: line->in_spool is set, its source is the owner's to set. Takes over it; it is to be
         * settled with spool_settle or forgotten with spool_forget. */
        void (*on_drained)(void *ctx, struct line *line);
        /* A job has ended. */
        void (*on_job_over)(void *ctx);
};

struct spool_pending {
        struct line line;
        struct line_from from;
};

struct spool_pendings {
        struct spool_pending *items;
        size_t len;
        size_t cap;
};

struct spool_places {
        struct spool_place *items;
        size_t len;
        size_t cap;
};

/* The state of the file. Each _DUE state is the state before it once it is time to try again. */
enum spool_state {
        SPOOL_GOOD,
        SPOOL_NO_ROOM, /* accepts no lines, but erases settled ones */
        SPOOL_NO_ROOM_DUE,
        SPOOL_STUCK, /* the disk is so full that nothing can be erased; the file can only be read */
        SPOOL_STUCK_DUE,
        SPOOL_BROKEN, /* the file can neither be written nor read */
        SPOOL_BROKEN_DUE,
        SPOOL_UNOPENED, /* the file could never be opened: its contents are unknown */
        SPOOL_UNOPENED_DUE,
        SPOOL_STATES,
};

/* A job of the thread, and its result. The loop does not touch it while the job runs. */
struct spool_job {
        uv_work_t work;
        struct spool_file file;
        struct spool_pendings writing;
        struct spool_places erasing; /* lines to erase; those left when the job ends were not erased */
        struct spool_place cursor;   /* read the lines after this one; advances */
        struct spool_place
                stuck; /* in the last row whose damaged lines were counted, but could not be moved aside */
        bool reading;
        bool testing; /* only test whether the file can be written again */
        bool last;    /* after erasing, the file holds no line except those of this job */
        struct buf texts;
        struct spool_record *records; /* the lines read; texts contains their texts */
        size_t records_len;
        bool read_all;    /* no line follows these */
        uint64_t damaged; /* lines found whose hash does not match: moved aside, or passed over */
        uint64_t damaged_bytes;
        char stuck_error[SPOOL_ERROR_BYTES]; /* why some of these were passed over; "": none was */
        enum spool_status written;           /* result of writing and erasing */
        enum spool_status erased;            /* result of erasing alone */
        enum spool_status status;            /* result of the whole job */
        bool opened;                         /* the closed file was opened */
        bool started_over;            /* a new file replaced the old one, which held no line that mattered */
        char aside[SPOOL_PATH_BYTES]; /* name under which the file was set aside; "": it was not */
        int64_t oldest_us;            /* when the first line was received; 0: there is none */
};

struct spool {
        uv_loop_t *loop;
        const char *dir; /* borrowed; "" for no spool */
        struct memory *memory;
        const struct spool_ops *ops;
        void *ctx;
        enum spool_state state;
        struct spool_pendings pending; /* to write in the next job */
        size_t pending_bytes;          /* of all lines that are not durable */
        struct spool_places settled;   /* to erase in a later job */
        uint64_t lines;                /* durable, unsettled lines */
        uint64_t bytes;                /* bytes of these */
        uint64_t fed;                  /* how many of these were replayed */
        uint64_t fed_bytes;
        uint64_t forgotten;  /* how many of these were given up since the last rewind */
        uint64_t found;      /* lines found at opening, including missing ones */
        uint64_t lost;       /* lines lost since the start: missing, in a file set aside, or damaged */
        int64_t oldest_us;   /* when the first line in the file was received, settled or not; 0: none */
        unsigned generation; /* number of the file; lines replayed from an earlier file are not erased */
        struct spool_place cursor; /* all lines up to this one were replayed */
        bool rewind;               /* rewind when the job ends */
        bool flush;                /* erase even a few lines */
        bool working;              /* a job is running */
        uv_timer_t retry;
        struct spool_job job;
        bool closing;
        void (*close_cb)(struct spool *);
};

/* Opens the spool in @dir, "" for no spool. Returns 0, or a code of enum err with one line in @ret_error;
 * the caller closes @s in either case. Lines already in the spool wait for replay. On a full disk, opening
 * may succeed later: see spool_opened. */
int spool_open(struct spool *s, uv_loop_t *loop, const char *dir, uint64_t max_bytes, struct memory *memory,
               const struct spool_ops *ops, void *ctx, char ret_error[SPOOL_ERROR_BYTES]);

static inline bool spool_on(const struct spool *s)
{
        return s->dir[0] != '\0';
}

/* True if the spool accepts no lines now. */
static inline bool spool_failing(const struct spool *s)
{
        return s->state != SPOOL_GOOD;
}

/* True if the contents of the spool are known. */
static inline bool spool_opened(const struct spool *s)
{
        return s->state != SPOOL_UNOPENED && s->state != SPOOL_UNOPENED_DUE;
}

/* Tries a failing file again, immediately. */
void spool_retry(struct spool *s);

/* Erases what is settled, then calls @cb, which may be NULL. No line may be pending or fed. */
void spool_close(struct spool *s, void (*cb)(struct spool *));

/* Takes over *line; on_spooled follows. @from must be valid as long as the line. */
void spool_add_take(struct spool *s, const struct line *line, const struct line_from *from);

/* A replayed line is settled: it will be erased. */
void spool_settle(struct spool *s, struct spool_line *line);

/* A replayed line is given up: it stays, and is replayed again after spool_rewind. */
void spool_forget(struct spool *s, struct spool_line *line);

/* Replay starts again from the first line; no replayed line may be unsettled. */
void spool_rewind(struct spool *s);

/* Starts a job if there is something to do. Call it when the answer of may_drain may have changed. */
void spool_kick(struct spool *s);

/* Erases settled lines soon, instead of in a larger job later. */
void spool_flush(struct spool *s);

/* Returns pending lines in order: @cb takes over each. Must not be called while a job runs. */
void spool_take_back(struct spool *s, line_take_cb *cb, void *ctx);

/* True if nothing is pending, to be erased or running. */
static inline bool spool_at_rest(const struct spool *s)
{
        return !s->working && s->pending.len == 0 && s->settled.len == 0;
}

#endif
