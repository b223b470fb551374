#ifndef SPOOL_BLOCK_H
#define SPOOL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/client_section.h"
#include "base/slice.h"

/* Lines of the spool in one piece, as a row of its file holds them: reading and erasing it costs as much as a single line.
 * Each line has an entry of fixed size with a hash of all that belongs to it, so a damaged byte costs only the lines to which
 * it belongs: one, or several in a row that share the sender's names. */

enum {
        SPOOL_PEER_BYTES = 128,
        /* Bytes of texts at which a block is full. A line that waits keeps its block on the disk; a destroyed page costs
         * the lines of its block. */
        SPOOL_BLOCK_BYTES = 16 << 10,
        SPOOL_ENTRY_BYTES = 64,
};

/* A line in the file. Slices are borrowed. */
struct spool_record {
        int64_t id; /* in order of arrival; never reused within a file */
        int64_t received_us;
        uint64_t receipt; /* number of its receipt; 0: spooled by an earlier version */
        uint64_t connection;
        uint64_t line;
        char peer[SPOOL_PEER_BYTES];
        char client[CLIENT_ORIGIN_BYTES]; /* the sender's section, see rules.h; "" for none */
        struct slice text;
};

struct spool_block {
        int64_t last;  /* no line's id is higher; identifies the block in the file; 0: no block */
        int64_t first; /* no line's id is lower */
        /* of the lines that were added; not known of a block that was loaded */
        uint64_t bytes; /* of the texts of lines */
        int64_t oldest; /* when the oldest line was received, microseconds since the Unix epoch */
        int64_t newest;
        struct buf entries;
        struct buf texts;
        size_t next; /* the line to read next ... */
        int64_t at;  /* ... comes after this id */
};

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

/* Makes @b the block of the ids from @first to @last with these contents, as they were read from a file. */
void spool_block_load(struct spool_block *b, int64_t first, int64_t last, struct slice entries,
                      struct slice texts);

/* Reads the first line after @id; *ret is valid until the block changes. Returns false if there is none. *ret_whole: its hash
 * matches. If not, anything in *ret may be wrong except its id. */
bool spool_block_next(struct spool_block *b, int64_t id, struct spool_record *ret, bool *ret_whole);

/* Makes *ret a copy of @b without the lines @ids, which are sorted. Damaged lines stay damaged. */
void spool_block_copy_without(struct spool_block *b, const int64_t *ids, size_t len, struct spool_block *ret);

#endif
