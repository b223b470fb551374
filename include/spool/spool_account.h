#ifndef SPOOL_ACCOUNT_H
#define SPOOL_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "spool/spool_file.h"

/* The account of a spool, DIR/spool.account: which lines were acked and which of them were erased, beside the
 * database that holds them. SQLite reads its write-ahead log up to the first damaged frame and says nothing of
 * what is behind it; with the account the spool can tell.
 *
 * The file has two entries of fixed size, which are overwritten in turn, each with a hash: a torn write leaves
 * the entry before it. Overwriting needs no room on a full disk. All calls block. */

enum spool_account_status {
        SPOOL_ACCOUNT_READ,
        SPOOL_ACCOUNT_MISSING, /* there is no file */
        SPOOL_ACCOUNT_NEWER,   /* a newer version wrote it */
        SPOOL_ACCOUNT_DAMAGED, /* no entry is whole, or the file cannot be read */
};

/* Reads the account of folder @dir. *ret is zeroed unless it was read. */
enum spool_account_status spool_account_read(const char *dir, struct spool_tally *ret);

/* Lines that were acked, and are neither erased nor out of the way. */
uint64_t spool_tally_owed(const struct spool_tally *tally);

/* How many acked lines are missing, at most, from a file that says @file of itself and has @lines lines. @account
 * is NULL where there is none: then lines are found missing only inside of the file, not those that a copy of an
 * earlier state does not know. */
uint64_t spool_tally_missing(const struct spool_tally *account, const struct spool_tally *file,
                             uint64_t lines);

/* The daemon's side. 0, or a negative errno; @a is to be closed in either case. */
int spool_account_open(struct spool_account *a, const char *dir);

/* Replaces what the account says. @durable: only what is on the disk counts. 0, or a negative errno. */
int spool_account_write(struct spool_account *a, const struct spool_tally *tally, bool durable);

void spool_account_close(struct spool_account *a);

#endif
