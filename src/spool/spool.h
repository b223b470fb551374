#ifndef SPOOL_H
#define SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/memory.h"
#include "spool/spool_file.h"
#include "wire/line.h"

/* Lines that wait on disk for the database, in order of arrival: added, durable, drained, settled, erased.
 * The file is used in a worker thread, one job at a time: it writes all that gathered in one transaction,
 * then reads a chunk where the owner wants one. What is acked, erased and missing is on an account (spool_account.h);
 * what opening finds missing is logged and counted as lost. */

enum {
        SPOOL_PENDING_MAX = 4 << 20, /* bytes of lines not durable yet, at which no more should be added */
        SPOOL_CHUNK_LINES = 4000,    /* drained at once, at most */
        SPOOL_CHUNK_BYTES = 1 << 20, /* likewise, but at least a line */
        SPOOL_RETRY_MS = 1000,       /* a file that cannot be written is tried again so often */
};

/* A drained line's place, its line.in_spool. */
struct spool_line {
        struct spool_chunk *chunk;
        int64_t id;
        size_t bytes;
        struct line_from from; /* as it was when the line was received */
        char peer[SPOOL_PEER_BYTES];
        char client[CLIENT_ORIGIN_BYTES];
};

struct spool_ops {
        /* The line is durable: takes over it. */
        void (*on_spooled)(void *ctx, struct line *line);
        /* Whether lines may be drained now. */
        bool (*may_drain)(void *ctx);
        /* Whether settled lines may be erased now: what became of them is on record elsewhere. */
        bool (*may_erase)(void *ctx);
        /* A line comes back: line->in_spool is set, its source is the owner's to set. Takes over it; it is to be
         * settled with spool_settle or forgotten with spool_forget. */
        void (*on_drained)(void *ctx, struct line *line);
        /* A job is over. */
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

struct spool_ids {
        int64_t *items;
        size_t len;
        size_t cap;
};

/* How the file is. The due states are those before them when it is time to try again. */
enum spool_state {
        SPOOL_GOOD,
        SPOOL_NO_ROOM, /* it takes no lines, but lets go of those that are settled */
        SPOOL_NO_ROOM_DUE,
        SPOOL_STUCK, /* the disk is so full that nothing can be erased: it can only be read */
        SPOOL_STUCK_DUE,
        SPOOL_BROKEN, /* it can neither be written nor read */
        SPOOL_BROKEN_DUE,
        SPOOL_UNOPENED, /* it was never open: what lies there is unknown */
        SPOOL_UNOPENED_DUE,
        SPOOL_STATES,
};

/* What is done in a thread, and what came of it: the loop touches none of this while it is under way. */
struct spool_job {
        uv_work_t work;
        struct spool_file file;
        struct spool_pendings writing;
        struct spool_ids erasing; /* what was erased is no longer in it, when the job is over */
        int64_t cursor;           /* lines behind it are read; it moves */
        bool reading;
        bool testing; /* nothing but whether the file can be written again */
        bool last;    /* with what it erases the file holds no line but those that it writes */
        struct buf text;
        struct buf texts;
        struct spool_record *records; /* read; their texts are in texts */
        size_t records_len;
        bool read_all;    /* no line is behind these */
        uint64_t damaged; /* lines moved out of the way */
        uint64_t damaged_bytes;
        enum spool_status written;    /* of writing and erasing */
        enum spool_status erased;     /* of erasing alone */
        enum spool_status status;     /* of all */
        bool opened;                  /* the file was opened, having been closed */
        bool started_over;            /* in a new file; the earlier one held no line that mattered */
        char aside[SPOOL_PATH_BYTES]; /* the file was set aside under this name; "" */
        int64_t oldest_us;            /* when the first line was received; 0: there is none */
};

struct spool {
        uv_loop_t *loop;
        const char *dir; /* borrowed; "" where there is no spool */
        struct memory *memory;
        const struct spool_ops *ops;
        void *ctx;
        enum spool_state state;
        struct spool_pendings pending; /* to be written next */
        size_t pending_bytes;          /* of all that is not durable */
        struct spool_ids settled;      /* to be erased next */
        uint64_t lines;                /* durable and not settled */
        uint64_t bytes;                /* of these */
        uint64_t fed;                  /* of these, drained */
        uint64_t fed_bytes;
        uint64_t forgotten; /* likewise, given up since the last rewind */
        uint64_t found;     /* lay there when it was opened, or should have */
        uint64_t lost;     /* since the start: missing, in files that were set aside, or damaged themselves */
        int64_t oldest_us; /* when the first line of the file was received, some of which are settled; 0: none
                            */
        unsigned generation; /* of the file; lines drained from an earlier one are not erased */
        int64_t cursor;      /* all lines up to this id were drained */
        bool rewind;         /* when the job is over */
        bool flush;          /* erase even a little */
        bool working;        /* the job is under way */
        uv_timer_t retry;
        struct spool_job job;
        bool closing;
        void (*close_cb)(struct spool *);
};

/* Opens DIR, "" for no spool. 0, or an ERR code with one line in @ret_error; @s is to be closed in either
 * case. What lies there, maybe, waits to be drained. On a full disk it may open later: see spool_opened. */
int spool_open(struct spool *s, uv_loop_t *loop, const char *dir, uint64_t max_bytes, struct memory *memory,
               const struct spool_ops *ops, void *ctx, char ret_error[SPOOL_ERROR_BYTES]);

static inline bool spool_on(const struct spool *s)
{
        return s->dir[0] != '\0';
}

/* It takes no lines now. */
static inline bool spool_failing(const struct spool *s)
{
        return s->state != SPOOL_GOOD;
}

/* It is known what lies in the spool. */
static inline bool spool_opened(const struct spool *s)
{
        return s->state != SPOOL_UNOPENED && s->state != SPOOL_UNOPENED_DUE;
}

/* Tries a failing file again, now. */
void spool_retry(struct spool *s);

/* Erases what is settled, then calls @cb, which may be NULL. No line may be pending or fed. */
void spool_close(struct spool *s, void (*cb)(struct spool *));

/* Takes over *line; on_spooled follows. @from is valid as long as the line is. */
void spool_add_take(struct spool *s, const struct line *line, const struct line_from *from);

/* What became of a drained line is known: it is to be erased. */
void spool_settle(struct spool *s, struct spool_line *line);

/* A drained line is given up: it stays, and is drained again behind spool_rewind. */
void spool_forget(struct spool *s, struct spool_line *line);

/* Draining starts over with the first line; none may be fed. */
void spool_rewind(struct spool *s);

/* Starts a job where there is something to do: to be called when may_drain has changed its mind. */
void spool_kick(struct spool *s);

/* Erases what is settled soon, instead of with much else. */
void spool_flush(struct spool *s);

/* Gives back what is pending, in its order: @cb takes over each line. Not while a job is under way. */
void spool_take_back(struct spool *s, line_take_cb *cb, void *ctx);

/* Nothing is pending, to be erased or under way. */
static inline bool spool_at_rest(const struct spool *s)
{
        return !s->working && s->pending.len == 0 && s->settled.len == 0;
}

#endif
