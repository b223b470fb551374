/* A job writes the collected lines, erases settled ones, and commits; then it reads.
 *
 * What can fail: If the file is full or the disk fails, nothing is lost; the rest of writing and erasing is
 * left to a later job. On a full disk even erasing fails, since SQLite's log needs space: the reserve is
 * released, and lines are erased in small pieces, after each of which the log's space is freed. If that does
 * not help, the file can still be read to its end; once it has no line to replay, a new file replaces it. A
 * damaged file is set aside and the job's lines go to a new one. Lines whose hash does not match are moved
 * aside; if that fails, they stay where they are, and the lines after them are read. */
#include "spool/spool_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_LINES = 250 }; /* lines erased at a time on a full disk */

static enum spool_status add_lines(struct spool_job *j)
{
        enum spool_status status = SPOOL_OK;

        for (size_t i = 0; i < j->writing.len && status == SPOOL_OK; i++) {
                const struct spool_pending *p = &j->writing.items[i];
                struct spool_record record = {.received_us = p->line.receipt.us,
                                              .receipt = p->line.receipt.number,
                                              .connection = p->from.connection,
                                              .line = p->from.line,
                                              .text = p->line.text};

                snprintf(record.peer, sizeof(record.peer), "%s", p->from.peer);
                snprintf(record.client, sizeof(record.client), "%s", p->from.client ? p->from.client : "");
                status = spool_file_add(&j->file, &record);
        }
        return status;
}

static int by_place(const void *a, const void *b)
{
        return spool_place_compare(a, b);
}

/* Erases the last @len lines of j->erasing. */
static enum spool_status erase_lines(struct spool_job *j, size_t len)
{
        struct spool_place *places;

        if (len == 0)
                return SPOOL_OK;
        places = j->erasing.items + j->erasing.len - len;
        qsort(places, len, sizeof(*places), by_place);
        return spool_file_erase(&j->file, places, len);
}

static enum spool_status end_transaction(struct spool_job *j, enum spool_status status)
{
        if (status == SPOOL_OK)
                status = spool_file_commit(&j->file);
        if (status != SPOOL_OK)
                spool_file_roll_back(&j->file);
        return status;
}

static enum spool_status write_all(struct spool_job *j)
{
        enum spool_status status = spool_file_begin(&j->file);

        if (status == SPOOL_OK)
                status = add_lines(j);
        if (status == SPOOL_OK)
                status = erase_lines(j, j->erasing.len);
        status = end_transaction(j, status);
        if (status == SPOOL_OK)
                j->erasing.len = 0;
        return status;
}

static enum spool_status erase_some(struct spool_job *j, size_t most)
{
        size_t len = j->erasing.len < most ? j->erasing.len : most;
        enum spool_status status = spool_file_begin(&j->file);

        if (status == SPOOL_OK)
                status = erase_lines(j, len);
        status = end_transaction(j, status);
        if (status == SPOOL_OK)
                j->erasing.len -= len;
        return status;
}

/* A full file accepts no lines, but settled ones can be erased. */
static enum spool_status erase_only(struct spool_job *j)
{
        enum spool_status status = erase_some(j, j->erasing.len);

        if (status != SPOOL_FULL)
                return status;
        do {
                spool_file_make_room(&j->file);
                status = erase_some(j, PIECE_LINES);
        } while (status == SPOOL_OK && j->erasing.len > 0);
        spool_file_make_room(&j->file);
        return status;
}

/* What follows the attempt to replace the file, which ended with @status: the lines to be written go to the new one. */
static enum spool_status begin_new_file(struct spool_job *j, enum spool_status status)
{
        if (status != SPOOL_OK && j->file.db)
                return status; /* still the same file */
        j->started_over = true;
        j->erasing.len = 0;
        j->cursor = j->stuck = (struct spool_place){0};
        return status == SPOOL_OK ? write_all(j) : status;
}

/* For a file with no line to replay and no space to erase its lines. */
static enum spool_status start_over(struct spool_job *j)
{
        bool has_damaged = !spool_place_first(&j->stuck);

        return begin_new_file(j, spool_file_start_over(&j->file, has_damaged, j->aside));
}

/* The file was removed or renamed: a later start would not find what is written to it. Once no line in it matters, a new
 * file replaces it. */
static enum spool_status move(struct spool_job *j)
{
        enum spool_status status = erase_some(j, j->erasing.len);

        if (status == SPOOL_OK)
                status = spool_file_move(&j->file, j->aside);
        return begin_new_file(j, status);
}

/* True if the damaged lines of this row were counted before, and could not be moved. */
static bool was_counted(const struct spool_job *j, const struct spool_place *row)
{
        return spool_place_compare(row, &j->stuck) <= 0 || spool_place_same_row(row, &j->stuck);
}

/* Moves the damaged line @record, and all damaged lines of its row, aside, and counts them. If they cannot be moved, they stay in
 * their row, and *ret_stuck is true. Returns SPOOL_OK if the lines after them can be read. */
static enum spool_status keep_damaged(struct spool_job *j, const struct spool_record *record, bool *ret_stuck)
{
        struct spool_damage damage;
        enum spool_status status = spool_file_keep_damaged(&j->file, record, &damage);

        if (status == SPOOL_DAMAGED)
                return status;
        if (!was_counted(j, &record->place)) {
                j->damaged += damage.lines;
                j->damaged_bytes += damage.bytes;
                if (status != SPOOL_OK)
                        snprintf(j->stuck_error, sizeof(j->stuck_error), "%s", j->file.error);
        }
        *ret_stuck = status != SPOOL_OK;
        if (*ret_stuck && !was_counted(j, &record->place))
                j->stuck = record->place;
        return spool_file_begin_reading(&j->file);
}

static void put_record(struct spool_job *j, struct spool_record *record)
{
        buf_put(&j->texts, record->text.ptr, record->text.len);
        record->text.ptr = NULL;
        j->records_len++;
}

/* Reads the lines after the cursor and advances it. */
static enum spool_status read_lines(struct spool_job *j)
{
        struct spool_place stuck = {0}; /* in the row whose damaged lines could not be moved just now */

        j->texts.len = 0;
        while (j->records_len < SPOOL_CHUNK_LINES && j->texts.len < SPOOL_CHUNK_BYTES) {
                struct spool_record *record = &j->records[j->records_len];
                enum spool_status status = SPOOL_OK;
                bool is_stuck = true;
                bool whole;
                int r = spool_file_next(&j->file, j->cursor, record, &whole);

                j->read_all = r == 0;
                if (r <= 0)
                        return r == 0 ? SPOOL_OK : (enum spool_status) - r;
                if (whole)
                        put_record(j, record);
                else if (!spool_place_same_row(&record->place, &stuck))
                        status = keep_damaged(j, record, &is_stuck);
                if (status != SPOOL_OK)
                        return status;
                if (!whole && is_stuck)
                        stuck = record->place;
                if (whole || is_stuck)
                        j->cursor = record->place;
        }
        return SPOOL_OK;
}

static enum spool_status read_chunk(struct spool_job *j)
{
        enum spool_status status = spool_file_begin_reading(&j->file);

        if (status == SPOOL_OK)
                status = read_lines(j);
        spool_file_end_reading(&j->file);
        return status;
}

static void do_job(struct spool_job *j)
{
        if (j->writing.len > 0 && !spool_file_in_place(&j->file))
                j->written = move(j);
        else if (j->writing.len > 0 || j->erasing.len > 0)
                j->written = write_all(j);
        if (j->written == SPOOL_FULL && j->erasing.len > 0) {
                j->erased = erase_only(j);
                if (j->erased == SPOOL_FULL && j->last)
                        j->written = j->erased = start_over(j);
                else if (j->erased != SPOOL_OK || j->writing.len == 0)
                        j->written = j->erased;
        }
        j->status = j->testing ? spool_file_test(&j->file) : j->written;
        /* when reading from the start, settled lines must have been erased */
        if (j->reading && j->file.db && (!spool_place_first(&j->cursor) || j->erasing.len == 0)) {
                enum spool_status read = read_chunk(j);

                if (read != SPOOL_OK && j->status != SPOOL_DAMAGED)
                        j->status = read;
        }
        if (j->status == SPOOL_OK && j->last && j->writing.len == 0)
                spool_file_shrink(&j->file);
        if (j->status == SPOOL_OK)
                spool_file_secure(&j->file);
}

/* Starts a new file with only the lines to be written. */
static void replace_file(struct spool_job *j)
{
        j->status = spool_file_set_aside(&j->file, j->aside);
        if (j->aside[0]) {
                j->erasing.len = 0;
                j->stuck = (struct spool_place){0};
        }
        if (j->status == SPOOL_OK)
                j->status = write_all(j);
        j->written = j->status;
}

void spool_job_run(struct spool_job *j)
{
        bool closed = !j->file.db;

        j->aside[0] = '\0';
        j->records_len = 0;
        j->read_all = false;
        j->damaged = 0;
        j->damaged_bytes = 0;
        j->stuck_error[0] = '\0';
        j->started_over = false;
        j->written = SPOOL_OK;
        j->erased = SPOOL_OK;
        j->status = spool_file_reopen(&j->file, j->aside);
        j->opened = closed && j->status == SPOOL_OK;
        if (j->status == SPOOL_OK)
                do_job(j);
        else
                j->written = j->status;
        if (j->status == SPOOL_DAMAGED)
                replace_file(j);
        j->oldest_us = j->file.db ? spool_file_oldest(&j->file) : 0;
}

void spool_job_deinit(struct spool_job *j)
{
        spool_file_close(&j->file);
        free(j->writing.items);
        free(j->erasing.items);
        free(j->records);
        buf_deinit(&j->texts);
}
