#ifndef SPOOL_BLOCK_H
#define SPOOL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/client_section.h"
#include "base/slice.h"

/* Lines of the spool in one piece, as a row of its file holds them: reading and erasing it costs as much as a single line.
 * Each line has an entry of fixed size with a hash of all that belongs to it, so a damaged byte costs one line, except for a
 * byte of the sender's names, which lines in a row share: the names are repeated every SPOOL_NAMES_BYTES, and a line whose
 * names are damaged is read with another copy in its block if its hash matches that copy. Without one, all lines that share the
 * names are damaged.
 *
 * No number in a block is trusted: a line counts by its entry, whatever the entry contains. */

enum {
        SPOOL_PEER_BYTES = 128,
        /* Bytes of texts at which a block is full. A line that waits keeps its block on the disk; of a file with a
         * destroyed page, spool export lacks the lines of its block. */
        SPOOL_BLOCK_BYTES = 16 << 10,
        SPOOL_NAMES_BYTES = 4 << 10, /* bytes of texts that share one copy of the names */
        SPOOL_ENTRY_BYTES = 64,
};

/* Where a line is in the file; all zero: before the first line. */
struct spool_place {
        int64_t row;    /* key of its row */
        int64_t id;     /* the line's; that of the last intact line before a damaged one in its block, or 0 */
        uint32_t index; /* in its block, as it was read; SPOOL_ROW_START: before the first line */
        bool in_block;  /* false: the row is of an earlier format, and holds one line */
};

#define SPOOL_ROW_START UINT32_MAX

/* A line in the file. Slices are borrowed. */
struct spool_record {
        int64_t id;               /* in order of arrival; never reused within a file */
        struct spool_place place; /* set by reading */
        int64_t received_us;
        uint64_t receipt; /* number of its receipt; 0: spooled by an earlier version */
        uint64_t connection;
        uint64_t line;
        char peer[SPOOL_PEER_BYTES];
        char client[CLIENT_ORIGIN_BYTES]; /* the sender's section, see rules.h; "" for none */
        struct slice text;
};

struct spool_block {
        int64_t last; /* key of its row; no line's id was higher when it was written; 0: no block */
        /* of the lines that were added; not known of a block that was loaded */
        int64_t first;  /* no line's id is lower */
        uint64_t bytes; /* of the texts of lines */
        int64_t oldest; /* when the oldest line was received, microseconds since the Unix epoch */
        int64_t newest;
        struct buf entries;
        struct buf texts;
        size_t next; /* index of the line to read next */
        int64_t at;  /* id of the last intact line before that line; 0: none */
};

/* False for a time of no line: before 1970 or after 9999. */
static inline bool spool_time_valid(int64_t unix_us)
{
        return unix_us >= 0 && unix_us <= INT64_C(253402300799999999);
}

static inline size_t spool_block_lines(const struct spool_block *b)
{
        return b->entries.len / SPOOL_ENTRY_BYTES;
}

static inline bool spool_block_full(const struct spool_block *b)
{
        return b->texts.len >= SPOOL_BLOCK_BYTES;
}

/* Removes all lines. */
void spool_block_clear(struct spool_block *b);

void spool_block_deinit(struct spool_block *b);

/* Adds a line. Its id is higher than all others. */
void spool_block_add(struct spool_block *b, const struct spool_record *record);

/* Makes @b the block @last with these contents, as they were read from a file, and goes to its first line. */
void spool_block_load(struct spool_block *b, int64_t last, struct slice entries, struct slice texts);

/* Goes to the line after the last intact line whose id is at most @id. */
void spool_block_seek(struct spool_block *b, int64_t id);

/* Goes to the line after @place. The block has not changed since the line there was read. */
void spool_block_seek_place(struct spool_block *b, const struct spool_place *place);

/* Reads the next line; *ret is valid until the block changes. Returns false if there is none. *ret_whole: its hash matches. If
 * not, anything in *ret may be wrong except its place. */
bool spool_block_next(struct spool_block *b, struct spool_record *ret, bool *ret_whole);

/* True if @places, in ascending order of ids, include every line of the block. False if that is not sure, since a number is
 * damaged. Needs only the entries. */
bool spool_block_within(const struct spool_block *b, const struct spool_place *places, size_t len);

/* Makes *ret a copy of @b without the intact lines with the ids of @places, which are in ascending order. Damaged lines stay
 * damaged. */
void spool_block_copy_without(struct spool_block *b, const struct spool_place *places, size_t len,
                              struct spool_block *ret);

/* Makes *ret a copy of @b without its damaged lines. */
void spool_block_copy_intact(struct spool_block *b, struct spool_block *ret);

#endif
