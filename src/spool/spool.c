/* A job writes what gathered since the last one, erases what was settled, and commits; then it reads. It owns
 * writing, erasing and the file until it is over; the loop's side gathers meanwhile.
 *
 * What can fail: the file is full or the disk fails: nothing is lost, what was to be written stays pending
 * and the job is tried again; the owner takes no more lines then. The file is damaged: it is set aside, and a
 * new one begun, into which the job's lines go. A single line whose hash does not match is moved out of the
 * way.
 */
#include "spool/spool.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

enum { ERASE_AT = 5000 }; /* settled lines that are worth a job of their own */

/* Lines that were read by one job. */
struct spool_chunk {
        unsigned generation;
        size_t left; /* lines not settled or forgotten */
        struct spool_line lines[];
};

/* --- the job, in its thread --- */

static enum spool_status write_all(struct spool *s)
{
        enum spool_status status = spool_file_begin(&s->file);

        for (size_t i = 0; i < s->writing.len && status == SPOOL_OK; i++) {
                const struct spool_pending *p = &s->writing.items[i];
                struct spool_record record = {.received_us = p->line.receipt.us,
                                              .receipt = p->line.receipt.number,
                                              .connection = p->from.connection,
                                              .line = p->from.line,
                                              .text = p->line.text};

                snprintf(record.peer, sizeof(record.peer), "%s", p->from.peer);
                status = spool_file_add(&s->file, &record);
        }
        for (size_t i = 0; i < s->erasing.len && status == SPOOL_OK; i++)
                status = spool_file_erase(&s->file, s->erasing.items[i]);
        if (status == SPOOL_OK)
                status = spool_file_commit(&s->file);
        if (status != SPOOL_OK)
                spool_file_roll_back(&s->file);
        return status;
}

/* A full file takes no lines, but lets go of those that are settled. */
static enum spool_status erase_only(struct spool *s)
{
        size_t len = s->writing.len;
        enum spool_status status;

        s->writing.len = 0;
        status = write_all(s);
        s->writing.len = len;
        if (status == SPOOL_OK)
                s->erasing.len = 0;
        return SPOOL_FULL;
}

/* Reads the lines behind the cursor, which moves. */
static enum spool_status read_chunk(struct spool *s)
{
        struct spool_record *record = s->records;

        s->texts.len = 0;
        while (s->records_len < SPOOL_CHUNK_LINES && s->texts.len < SPOOL_CHUNK_BYTES) {
                bool whole;
                int r = spool_file_next(&s->file, s->cursor, &s->text, record, &whole);

                if (r <= 0)
                        return r == 0 ? SPOOL_OK : (enum spool_status) - r;
                if (!whole) {
                        enum spool_status status = spool_file_keep_damaged(&s->file, record->id);

                        if (status != SPOOL_OK)
                                return status;
                        s->damaged++;
                        s->damaged_bytes += s->text.len;
                        continue;
                }
                s->cursor = record->id;
                buf_put(&s->texts, s->text.data, s->text.len);
                record->text = (struct slice){NULL, s->text.len};
                record++;
                s->records_len++;
        }
        return SPOOL_OK;
}

static void do_job(struct spool *s)
{
        if (s->writing.len > 0 || s->erasing.len > 0)
                s->written = write_all(s);
        if (s->written == SPOOL_FULL && s->writing.len > 0 && s->erasing.len > 0)
                s->written = erase_only(s);
        s->status = s->testing ? spool_file_test(&s->file) : s->written;
        /* from the start, what is settled must not be read again */
        if (s->reading && (s->cursor > 0 || s->erasing.len == 0 || s->written == SPOOL_OK)) {
                enum spool_status read = read_chunk(s);

                if (read != SPOOL_OK && s->status != SPOOL_DAMAGED)
                        s->status = read;
        }
        if (s->status == SPOOL_OK && s->emptied)
                spool_file_shrink(&s->file);
}

/* With what is to be written, and nothing else, in a new file. */
static void replace_file(struct spool *s)
{
        s->status = spool_file_set_aside(&s->file, s->aside);
        if (s->aside[0])
                s->erasing.len = 0;
        if (s->status == SPOOL_OK)
                s->status = write_all(s);
        s->written = s->status;
}

static void on_work(uv_work_t *work)
{
        struct spool *s = work->data;

        s->aside[0] = '\0';
        s->records_len = 0;
        s->damaged = 0;
        s->damaged_bytes = 0;
        s->written = SPOOL_OK;
        s->status = spool_file_reopen(&s->file);
        if (s->status == SPOOL_OK)
                do_job(s);
        else
                s->written = s->status;
        if (s->status == SPOOL_DAMAGED)
                replace_file(s);
        s->found_oldest_us = s->file.db ? spool_file_oldest(&s->file) : 0;
}

/* --- arrays --- */

static void put_pending(struct spool_pendings *p, const struct spool_pending *item)
{
        if (p->len == p->cap)
                p->items = array_grow(p->items, &p->cap, sizeof(*p->items));
        p->items[p->len++] = *item;
}

static void put_id(struct spool_ids *ids, int64_t id)
{
        if (ids->len == ids->cap)
                ids->items = array_grow(ids->items, &ids->cap, sizeof(*ids->items));
        ids->items[ids->len++] = id;
}

/* What the job could not do goes before what gathered meanwhile. */
static void put_back(struct spool *s)
{
        struct spool_pendings pending = s->writing;
        struct spool_ids ids = s->erasing;

        for (size_t i = 0; i < s->pending.len; i++)
                put_pending(&pending, &s->pending.items[i]);
        for (size_t i = 0; i < s->settled.len; i++)
                put_id(&ids, s->settled.items[i]);
        s->writing = s->pending;
        s->writing.len = 0;
        s->pending = pending;
        s->erasing = s->settled;
        s->erasing.len = 0;
        s->settled = ids;
}

/* --- the job's end, on the loop --- */

static void tell(const struct spool *s)
{
        if (s->aside[0])
                log_error("spool: %s was damaged and is set aside as %s, with %" PRIu64
                          " lines that clients were told are spooled: see boris-ingestd spool export",
                          s->file.path, s->aside, s->lines);
        if (s->damaged > 0)
                log_error("spool: %" PRIu64
                          " lines in %s are damaged; they stay there, see boris-ingestd spool verify",
                          s->damaged, s->file.path);
        if (s->status != SPOOL_OK && !s->failing)
                log_error("spool: %s cannot be used: %s%s; clients are paused until it can", s->file.path,
                          s->file.error, s->status == SPOOL_FULL ? " (spool.max_bytes, or the disk)" : "");
}

static void on_retry(uv_timer_t *timer)
{
        struct spool *s = timer->data;

        s->retry_due = true;
        spool_kick(s);
}

/* It is well again when it took lines, not when it only let some go. */
static void note_failure(struct spool *s)
{
        if (s->status != SPOOL_OK) {
                s->failing = true;
                uv_timer_start(&s->retry, on_retry, SPOOL_RETRY_MS, SPOOL_RETRY_MS);
        } else if (s->failing && (s->writing.len > 0 || s->pending.len == 0)) {
                s->failing = false;
                uv_timer_stop(&s->retry);
                log_info("spool: %s can be used again", s->file.path);
        }
}

/* The lines of the file that was set aside are gone, but for those that are under way. */
static void on_file_replaced(struct spool *s)
{
        s->lost += s->lines - s->fed;
        s->lines = s->fed;
        s->bytes = s->fed_bytes;
        s->generation++;
        s->cursor = 0;
        s->records_len = 0;
        s->damaged = 0;
        s->damaged_bytes = 0;
        s->settled.len = 0;
}

static void finish_writing(struct spool *s)
{
        struct spool_pendings done = s->writing;

        s->writing = (struct spool_pendings){0};
        s->erasing.len = 0;
        for (size_t i = 0; i < done.len; i++) {
                size_t bytes = done.items[i].line.text.len;

                s->lines++;
                s->bytes += bytes;
                s->pending_bytes -= bytes;
                s->ops->on_spooled(s->ctx, &done.items[i].line);
        }
        free(done.items);
}

static struct spool_chunk *new_chunk(const struct spool *s)
{
        struct spool_chunk *chunk = calloc(1, sizeof(*chunk) + s->records_len * sizeof(chunk->lines[0]));

        if (!chunk)
                abort();
        chunk->generation = s->generation;
        chunk->left = s->records_len;
        for (size_t i = 0; i < s->records_len; i++) {
                const struct spool_record *r = &s->records[i];
                struct spool_line *line = &chunk->lines[i];

                *line = (struct spool_line){.chunk = chunk, .id = r->id, .bytes = r->text.len};
                memcpy(line->peer, r->peer, sizeof(line->peer));
                line->from = (struct line_from){line->peer, r->connection, r->line};
        }
        return chunk;
}

/* Hands out what was read. */
static void feed(struct spool *s)
{
        struct spool_chunk *chunk;
        struct block *block;
        char *text;

        if (s->records_len == 0)
                return;
        chunk = new_chunk(s);
        block = block_new(s->memory, s->texts.len);
        memcpy(block->data, s->texts.data, s->texts.len);
        block->len = s->texts.len;
        text = block->data;
        s->fed += s->records_len;
        s->fed_bytes += s->texts.len;
        for (size_t i = 0; i < s->records_len; i++) {
                struct line line = {.block = block_ref(block),
                                    .text = {text, chunk->lines[i].bytes},
                                    .origin = &chunk->lines[i],
                                    .number = s->records[i].line,
                                    .receipt = {s->records[i].received_us, s->records[i].receipt},
                                    .drained = true};

                text += line.text.len;
                s->ops->on_drained(s->ctx, &line);
        }
        s->records_len = 0;
        block_unref(block);
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct spool *s = handle->data;

        spool_file_close(&s->file);
        free(s->pending.items);
        free(s->writing.items);
        free(s->settled.items);
        free(s->erasing.items);
        free(s->records);
        buf_deinit(&s->text);
        buf_deinit(&s->texts);
        s->close_cb(s);
}

static void on_job_over(uv_work_t *work, int status)
{
        struct spool *s = work->data;

        (void)status;
        tell(s);
        note_failure(s);
        s->oldest_us = s->found_oldest_us;
        if (s->aside[0])
                on_file_replaced(s);
        if (s->rewind) {
                s->records_len = 0;
                s->cursor = 0;
                s->rewind = false;
        }
        s->lost += s->damaged;
        s->lines -= s->damaged;
        s->bytes -= s->damaged_bytes;
        if (s->written == SPOOL_OK)
                finish_writing(s);
        else
                put_back(s);
        if (s->close_cb) {
                uv_close((uv_handle_t *)&s->retry, on_timer_closed);
                return;
        }
        feed(s);
        s->working = false; /* not sooner: lines may be settled while they are fed */
        s->ops->on_job_over(s->ctx);
        spool_kick(s);
}

/* --- starting a job --- */

static void swap_pending(struct spool *s)
{
        struct spool_pendings swap = s->writing;

        s->writing = s->pending;
        s->pending = swap;
        s->pending.len = 0;
}

static void swap_settled(struct spool *s)
{
        struct spool_ids swap = s->erasing;

        s->erasing = s->settled;
        s->settled = swap;
        s->settled.len = 0;
}

void spool_kick(struct spool *s)
{
        bool may_write = !s->failing || s->retry_due;
        bool may_read = may_write || s->status == SPOOL_FULL; /* and erase */
        bool start_over = s->cursor == 0 && s->settled.len > 0;
        bool write = may_write && s->pending.len > 0;
        bool erase = s->settled.len > 0 && may_read &&
                     (write || s->flush || start_over || s->fed == 0 || s->settled.len >= ERASE_AT) &&
                     s->ops->may_erase(s->ctx);
        bool read = s->lines > s->fed && may_read && !s->close_cb && (erase || !start_over) &&
                    s->ops->may_drain(s->ctx);

        bool test = s->failing && s->retry_due && !s->close_cb && !(write || erase || read);

        if (s->working || !(write || erase || read || test))
                return;
        s->writing.len = 0;
        s->erasing.len = 0;
        if (write)
                swap_pending(s);
        if (erase)
                swap_settled(s);
        s->reading = read;
        s->testing = test;
        s->emptied = erase && s->lines == 0 && s->writing.len == 0;
        s->flush = false;
        s->retry_due = false;
        s->working = true;
        s->work.data = s;
        uv_queue_work(s->loop, &s->work, on_work, on_job_over);
}

void spool_flush(struct spool *s)
{
        s->flush = true;
        spool_kick(s);
}

/* --- for the owner --- */

int spool_open(struct spool *s, uv_loop_t *loop, const char *dir, uint64_t max_bytes, struct memory *memory,
               const struct spool_ops *ops, void *ctx, char ret_error[SPOOL_ERROR_BYTES])
{
        enum spool_status status;

        *s = (struct spool){.loop = loop, .dir = dir, .memory = memory, .ops = ops, .ctx = ctx};
        s->file.lock = -1;
        uv_timer_init(loop, &s->retry);
        s->retry.data = s;
        if (!spool_on(s))
                return 0;
        s->records = calloc(SPOOL_CHUNK_LINES, sizeof(*s->records));
        if (!s->records)
                abort();
        status = spool_file_open(&s->file, dir, max_bytes, s->aside);
        if (s->aside[0])
                log_error("spool: %s was damaged and is set aside as %s: see boris-ingestd spool export",
                          s->file.path, s->aside);
        s->lines = s->file.contents.lines;
        s->bytes = s->file.contents.bytes;
        s->oldest_us = s->file.contents.oldest;
        snprintf(ret_error, SPOOL_ERROR_BYTES, "%s", s->file.error);
        return status == SPOOL_OK ? 0 : ERR_CONFIG;
}

void spool_close(struct spool *s, void (*cb)(struct spool *))
{
        s->close_cb = cb;
        s->flush = true;
        if (!s->working && spool_on(s) && s->file.db)
                spool_kick(s);
        if (!s->working)
                uv_close((uv_handle_t *)&s->retry, on_timer_closed);
}

void spool_add_take(struct spool *s, const struct line *line, const struct line_from *from)
{
        const struct spool_pending item = {*line, *from};

        put_pending(&s->pending, &item);
        s->pending_bytes += line->text.len;
        spool_kick(s);
}

static void leave_chunk(struct spool *s, const struct spool_line *line)
{
        struct spool_chunk *chunk = line->chunk;

        s->fed--;
        s->fed_bytes -= line->bytes;
        if (--chunk->left == 0)
                free(chunk);
}

void spool_settle(struct spool *s, struct spool_line *line)
{
        if (line->chunk->generation == s->generation)
                put_id(&s->settled, line->id);
        s->lines--;
        s->bytes -= line->bytes;
        leave_chunk(s, line);
        spool_kick(s);
}

void spool_forget(struct spool *s, struct spool_line *line)
{
        if (line->chunk->generation != s->generation) { /* it is in no file that is read again */
                s->lines--;
                s->bytes -= line->bytes;
                s->lost++;
        }
        leave_chunk(s, line);
}

void spool_rewind(struct spool *s)
{
        assert(s->fed == 0);
        if (s->working)
                s->rewind = true; /* the cursor is the job's */
        else
                s->cursor = 0;
}

void spool_take_back(struct spool *s, line_take_cb *cb, void *ctx)
{
        struct spool_pendings pending = s->pending;

        assert(!s->working);
        s->pending = (struct spool_pendings){0};
        s->pending_bytes = 0;
        for (size_t i = 0; i < pending.len; i++)
                cb(ctx, &pending.items[i].line);
        free(pending.items);
}
