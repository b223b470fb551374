#ifndef SPOOL_ACCOUNT_H
#define SPOOL_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "spool/spool_file.h"

/* The tally of a spool, DIR/spool.account: which lines were acked and which of these were erased, kept
 * outside the database that contains the lines. SQLite reads its write-ahead log up to the first damaged
 * frame and does not report what follows; the tally reveals what is missing.
 *
 * The file has two fixed-size entries, each with a hash, which are overwritten in turn: after a torn write
 * the other entry is still valid. Overwriting needs no free space. All calls block. */

enum spool_account_status {
        SPOOL_ACCOUNT_READ,
        SPOOL_ACCOUNT_MISSING, /* the file does not exist */
        SPOOL_ACCOUNT_NEWER,   /* a newer version wrote it */
        SPOOL_ACCOUNT_DAMAGED, /* no entry is valid, or the file cannot be read */
};

/* Reads the tally in directory @dir. Zeroes *ret unless it succeeds. */
enum spool_account_status spool_account_read(const char *dir, struct spool_tally *ret);

/* Number of acked lines that are neither erased nor moved aside. */
uint64_t spool_tally_owed(const struct spool_tally *tally);

/* Upper bound of the acked lines missing from a file whose tally is @file and that contains @lines lines.
 * @account is NULL if there is none: then only lines missing inside the file are found, not those that an
 * older copy of the file lacks. */
uint64_t spool_tally_missing(const struct spool_tally *account, const struct spool_tally *file,
                             uint64_t lines);

/* Corrects numbers of @file, the tally of a file, that contradict the number of its @lines, the @highest key of its rows, or
 * @account, which has a hash; NULL: there is none. */
void spool_tally_correct(struct spool_tally *file, const struct spool_tally *account, uint64_t lines,
                         int64_t highest);

/* For the daemon. Returns 0 or a negative errno; the caller closes @a in either case. */
int spool_account_open(struct spool_account *a, const char *dir);

/* Replaces the tally. @durable: wait until they are on disk. Returns 0 or a negative errno. */
int spool_account_write(struct spool_account *a, const struct spool_tally *tally, bool durable);

void spool_account_close(struct spool_account *a);

#endif
