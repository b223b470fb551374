#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/client_section.h"
#include "base/slice.h"

/* The file that holds spooled lines: a SQLite database, DIR/spool.db, in WAL mode with synchronous=FULL, so
 * that what is committed survives a crash of the machine. Each line has the moment of its receipt, where it
 * came from, and a hash over text and moment. All calls block; one thread at a time may make them.
 *
 * Beside it lies an account of what was acked and erased (spool_account.h), which shows what is missing when the
 * file is opened, and a reserve for a full disk (spool_reserve.h). */

enum spool_status {
        SPOOL_OK,
        SPOOL_FULL,    /* max_bytes are reached, or the disk is full */
        SPOOL_FAILED,  /* the disk, or the file's rights: it may get better */
        SPOOL_DAMAGED, /* the file is no spool, or not whole: it is to be set aside */
};

enum {
        SPOOL_ERROR_BYTES = 512,
        SPOOL_PATH_BYTES = PATH_MAX,
        SPOOL_PEER_BYTES = 128,
};

/* What is in the file. */
struct spool_contents {
        uint64_t lines;
        uint64_t bytes;   /* of their texts */
        uint64_t damaged; /* lines besides these whose hash does not match: kept, never drained */
        int64_t oldest;   /* moment of receipt in microseconds since the Unix epoch; 0 where there is none */
        int64_t newest;
};

/* What the file says of the lines that it ever held. Each line added has the next number; those that are neither
 * in the file nor erased are missing. */
struct spool_tally {
        uint64_t file;    /* a random number that names the file; 0: none */
        int64_t last;     /* number of the last line that was added */
        uint64_t erased;  /* of the lines up to last */
        uint64_t damaged; /* likewise: moved out of the way */
        int64_t lowest;   /* all lines before this number were erased */
        uint64_t lost;    /* acked lines that were found missing, in all files that the account was for */
        int64_t lost_us;  /* when the last of them were; 0: never */
};

struct spool_account {
        int fd;
        uint64_t turn; /* of its latest entry */
};

/* What opening the file found out. */
struct spool_findings {
        uint64_t lost;       /* acked lines that are missing, at most */
        bool account_missed; /* what was acked is unknown, since the account is missing or damaged */
};

struct spool_file {
        void *db; /* sqlite3; NULL where it is not open */
        void *insert;
        void *erase;
        void *read;
        int lock; /* descriptor of DIR/spool.lock, -1 */
        uint64_t max_bytes;
        const char *dir; /* borrowed; NULL where it is open for reading */
        char path[SPOOL_PATH_BYTES];
        struct spool_contents contents; /* when it was opened */
        struct spool_tally tally;       /* of what is committed */
        struct spool_tally change;      /* what the open transaction adds to last and erased */
        struct spool_account account;
        struct spool_findings findings; /* when it was opened */
        bool adopted;                   /* it is of an earlier version, without an account */
        char error[SPOOL_ERROR_BYTES];  /* why the last call failed */
};

/* A line in the file. Slices are borrowed. */
struct spool_record {
        int64_t id; /* in order of arrival, never used twice in one file */
        int64_t received_us;
        uint64_t receipt; /* its number; 0: spooled by an earlier version */
        uint64_t connection;
        uint64_t line;
        char peer[SPOOL_PEER_BYTES];
        char client[CLIENT_ORIGIN_BYTES]; /* the sender's section, see rules.h; "" for none */
        struct slice text;
};

/* Opens DIR/spool.db for a daemon, alone: makes folder and file where they are missing, and sets aside a
 * damaged file first, whose new name stands in @ret_aside then ("" else). @dir is borrowed. @f is to be closed in
 * either case. */
enum spool_status spool_file_open(struct spool_file *f, const char *dir, uint64_t max_bytes,
                                  char ret_aside[SPOOL_PATH_BYTES]);

/* Opens the file again where a call left it closed. */
enum spool_status spool_file_reopen(struct spool_file *f);

/* Opens the file @path to look at it, while a daemon may be using it. Where it is damaged spool_file_next may
 * work all the same, if f->read is not NULL. With @dir, the file is compared with the account that lies there. */
enum spool_status spool_file_open_read_only(struct spool_file *f, const char *path, const char *dir);

void spool_file_close(struct spool_file *f);

/* Renames the file, which is left as it is, and begins a new one. Where that fails @f may be closed.
 * @ret_aside is "" unless the file was renamed. */
enum spool_status spool_file_set_aside(struct spool_file *f, char ret_aside[SPOOL_PATH_BYTES]);

/* With all lines settled, and no room to erase them: begins a new file in place of this one. Where that fails @f
 * may be closed. */
enum spool_status spool_file_start_over(struct spool_file *f);

/* What lies between begin and a commit that succeeds is durable and on the account; else it may be neither. */
enum spool_status spool_file_begin(struct spool_file *f);
enum spool_status spool_file_add(struct spool_file *f, const struct spool_record *record); /* id is ignored */
enum spool_status spool_file_erase(struct spool_file *f, int64_t id);
enum spool_status spool_file_commit(struct spool_file *f);
void spool_file_roll_back(struct spool_file *f);

/* Moves a line whose hash does not match out of the way, for people to look at. */
enum spool_status spool_file_keep_damaged(struct spool_file *f, int64_t id);

/* Writes, but changes nothing: whether that is possible. */
enum spool_status spool_file_test(struct spool_file *f);

/* Gives free pages back to the file system; worth it when the spool is empty. */
void spool_file_shrink(struct spool_file *f);

/* The disk is full: makes room for erasing, from the write-ahead log and the reserve. */
void spool_file_make_room(struct spool_file *f);

/* The disk may have room again: makes a new reserve where the last one was given up. */
void spool_file_secure(struct spool_file *f);

/* The first line behind @id: 1, with *ret (its text in @text), 0 where there is none, or a negative enum
 * spool_status. *ret_whole: its hash matches. Calls in a row cost one step each. */
int spool_file_next(struct spool_file *f, int64_t id, struct buf *text, struct spool_record *ret,
                    bool *ret_whole);

/* When the first line was received, 0 where there is none, or it cannot be read. */
int64_t spool_file_oldest(struct spool_file *f);

/* How many faults the file's structure has, or -1 where that could not be found out. @tell is called for
 * each, in SQLite's words. */
int spool_file_check(struct spool_file *f, void (*tell)(const char *fault));

#endif
