#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "spool/spool_block.h"

/* The file of spooled lines: a SQLite database, DIR/spool.db, in WAL mode with synchronous=FULL, so
 * committed lines survive a crash of the machine. A row holds a block of lines (spool_block.h); in files of format 1 or 2,
 * a line (spool_old.h). All calls block; only one thread at a time may make them.
 *
 * Beside the file are a tally of acked and erased lines (spool_account.h), which reveals missing lines on
 * opening, and a reserve for a full disk (spool_reserve.h). */

enum spool_status {
        SPOOL_OK,
        SPOOL_FULL,    /* max_bytes is reached, or the disk is full */
        SPOOL_FAILED,  /* an error of the disk, or permissions; may be transient */
        SPOOL_DAMAGED, /* the file is not a spool, or is damaged: set it aside */
};

enum {
        SPOOL_ERROR_BYTES = 512,
        SPOOL_PATH_BYTES = PATH_MAX,
};

/* What the file contains. */
struct spool_contents {
        uint64_t lines;
        uint64_t bytes;   /* total size of the lines' texts */
        uint64_t damaged; /* lines, not counted above, whose hash does not match: kept, never replayed */
        /* when the oldest line was received, microseconds since the Unix epoch; 0 if there is none */
        int64_t oldest;
        int64_t newest;
};

/* The file counts lines up to this number. A higher one is damaged: it is not trusted. */
#define SPOOL_NUMBER_MAX (INT64_C(1) << 62)

/* What the file records of all lines it ever contained. Lines are numbered in order of adding; a line that
 * is neither in the file nor erased is missing. */
struct spool_tally {
        uint64_t file;    /* a random number that identifies the file; 0: none */
        int64_t last;     /* number of the last added line */
        uint64_t erased;  /* how many of the lines up to last were erased */
        uint64_t damaged; /* how many were moved aside as damaged */
        int64_t lowest;   /* all lines before this number were erased */
        uint64_t lost;    /* acked lines found missing, in all files of this account */
        int64_t lost_us;  /* when a line was last found missing; 0: never */
};

struct spool_account {
        int fd;
        uint64_t turn; /* of the latest entry */
};

/* What opening the file revealed. */
struct spool_findings {
        uint64_t lost;       /* upper bound of missing acked lines */
        bool account_missed; /* spool.account is missing or damaged, so what was acked is unknown */
};

struct spool_file {
        void *db; /* sqlite3; NULL if not open */
        void *insert;
        void *look;
        void *erase;
        void *read; /* blocks; NULL if the file has none, for it is of an earlier format */
        void *read_old;
        void *erase_old;
        struct buf old_text;
        struct spool_block adding;
        struct spool_block block; /* from which lines are read */
        struct spool_block rest;  /* what is left of a block after erasing */
        bool loaded;              /* @block is as it is in the file */
        bool reading;             /* between spool_file_begin_reading and spool_file_end_reading */
        bool stepping;            /* the statement @read is at a row */
        int64_t read_at;          /* the key of this row */
        int lock;                 /* file descriptor of DIR/spool.lock, or -1 */
        uint64_t max_bytes;
        const char *dir; /* borrowed; NULL if the file is open read-only */
        char path[SPOOL_PATH_BYTES];
        ino_t inode;                    /* of the open file */
        ino_t wal_inode;                /* of its write-ahead log; 0: none yet */
        struct spool_contents contents; /* at opening */
        int64_t highest;                /* the highest key of a row, at opening */
        struct spool_tally tally;       /* as of the last commit */
        struct spool_tally change;      /* what the open transaction adds to last and erased */
        struct spool_account account;
        struct spool_findings findings; /* at opening */
        bool adopted;                   /* written by an earlier version, without an account */
        char error[SPOOL_ERROR_BYTES];  /* the last error */
};

/* Opens DIR/spool.db exclusively for a daemon. Creates directory and file if they are missing. A damaged
 * file is first set aside; @ret_aside is its new name, else "". Borrows @dir. The caller closes @f in any
 * case. */
enum spool_status spool_file_open(struct spool_file *f, const char *dir, uint64_t max_bytes,
                                  char ret_aside[SPOOL_PATH_BYTES]);

/* Opens the file again after a call that left it closed. */
enum spool_status spool_file_reopen(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES]);

/* False if the open file or its log was removed, renamed or replaced. */
bool spool_file_in_place(const struct spool_file *f);

/* Opens a new file in place of one that is not there any more. Fails if the old one has lines; after any other failure f->db
 * is NULL. */
enum spool_status spool_file_move(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES]);

/* Opens the file @path for inspection, even while a daemon uses it. With a damaged file, spool_file_next may
 * still work if f->read or f->read_old is not NULL. With @dir, compares the file with spool.account in that directory. */
enum spool_status spool_file_open_read_only(struct spool_file *f, const char *path, const char *dir);

void spool_file_close(struct spool_file *f);

/* Renames the file, unchanged, and starts a new one. After a failure @f may be closed. @ret_aside is ""
 * unless the file was renamed. */
enum spool_status spool_file_set_aside(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES]);

/* For a file whose lines are all settled, without space to erase them: replaces it by a new one. If it has damaged lines
 * (@has_damaged, or lines that were moved aside), it is renamed to *ret_aside; else *ret_aside is "". After a failure @f may be
 * closed. */
enum spool_status spool_file_start_over(struct spool_file *f, bool has_damaged,
                                        char ret_aside[SPOOL_PATH_BYTES]);

/* Changes between begin and a successful commit are durable and in the tally; after a failed commit they
 * may be neither. */
enum spool_status spool_file_begin(struct spool_file *f);
/* ignores the record's id */
enum spool_status spool_file_add(struct spool_file *f, const struct spool_record *record);
/* Erases intact lines; @places is sorted as spool_place_compare does. A line that is not there any more is no error. */
enum spool_status spool_file_erase(struct spool_file *f, const struct spool_place *places, size_t len);
enum spool_status spool_file_commit(struct spool_file *f);
void spool_file_roll_back(struct spool_file *f);

/* Lines whose hash does not match. */
struct spool_damage {
        uint64_t lines;
        uint64_t bytes; /* of their texts, as far as these can be found */
};

/* Moves the damaged line that spool_file_next has just read aside, for inspection, with all damaged lines of its row.
 * *ret_damage counts them, also if that fails: then they stay where they are, and the other lines can be read. Ends reading. */
enum spool_status spool_file_keep_damaged(struct spool_file *f, const struct spool_record *record,
                                          struct spool_damage *ret_damage);

/* Writes without changing anything, to test whether writing is possible. */
enum spool_status spool_file_test(struct spool_file *f);

/* Returns free pages to the file system; useful when the spool is empty. */
void spool_file_shrink(struct spool_file *f);

/* For a full disk: frees space for erasing, from the write-ahead log and the reserve. */
void spool_file_make_room(struct spool_file *f);

/* The disk may have space again: restores the reserve if it was given up. */
void spool_file_secure(struct spool_file *f);

/* Around several calls of spool_file_next, which otherwise seeks each line and locks the file for it. Until the end, the
 * log of a daemon that uses the file cannot be emptied. */
enum spool_status spool_file_begin_reading(struct spool_file *f);
void spool_file_end_reading(struct spool_file *f);

/* Reads the first line after @place: returns 1 with *ret, whose text is valid until the next call, 0 if there is none, or a
 * negative enum spool_status. *ret_whole: its hash matches; if not, only ret->place is to be trusted. */
int spool_file_next(struct spool_file *f, struct spool_place place, struct spool_record *ret,
                    bool *ret_whole);

/* Compares rows, and lines of a row by their ids. */
int spool_place_compare(const struct spool_place *a, const struct spool_place *b);

static inline bool spool_place_same_row(const struct spool_place *a, const struct spool_place *b)
{
        return a->in_block == b->in_block && a->row == b->row;
}

/* True before the first line of the file. */
static inline bool spool_place_first(const struct spool_place *place)
{
        return !place->in_block && place->row == 0;
}

/* When the first line was received; 0 if there is none or it cannot be read. */
int64_t spool_file_oldest(struct spool_file *f);

/* Number of faults in the file's structure; -1 if the check failed. Calls @tell for each, with SQLite's
 * message. */
int spool_file_check(struct spool_file *f, void (*tell)(const char *fault));

#endif
