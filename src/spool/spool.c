/* The part on the event loop: collects what to write and erase, starts a job (spool_job.c) if there is work,
 * and delivers the lines that it read. A failing file is retried after a pause, never in a tight loop; until
 * then its state says what can be done with it. */
#include "spool/spool.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/state_machine.h"
#include "spool/spool_job.h"

enum {
        ERASE_AT = 5000,      /* settled lines: at this number a job erases them if no line can be read, */
        ERASE_LATEST = 20000, /* and at this number in any case */
};

/* --- states --- */

enum { MAY_READ = 1, MAY_ERASE = 2, MAY_WRITE = 4, MAY_TEST = 8 };

static const struct {
        unsigned may;
        enum spool_state due;
} traits[SPOOL_STATES] = {
        [SPOOL_GOOD] = {MAY_READ | MAY_ERASE | MAY_WRITE, SPOOL_GOOD},
        [SPOOL_NO_ROOM] = {MAY_READ | MAY_ERASE, SPOOL_NO_ROOM_DUE},
        [SPOOL_NO_ROOM_DUE] = {MAY_READ | MAY_ERASE | MAY_WRITE | MAY_TEST, SPOOL_NO_ROOM_DUE},
        [SPOOL_STUCK] = {MAY_READ, SPOOL_STUCK_DUE},
        [SPOOL_STUCK_DUE] = {MAY_READ | MAY_ERASE | MAY_WRITE | MAY_TEST, SPOOL_STUCK_DUE},
        [SPOOL_BROKEN] = {0, SPOOL_BROKEN_DUE},
        [SPOOL_BROKEN_DUE] = {MAY_READ | MAY_ERASE | MAY_WRITE | MAY_TEST, SPOOL_BROKEN_DUE},
        [SPOOL_UNOPENED] = {0, SPOOL_UNOPENED_DUE},
        [SPOOL_UNOPENED_DUE] = {MAY_TEST, SPOOL_UNOPENED_DUE},
};

#define BIT(name) STATE_BIT(SPOOL_##name)
#define ENDS      (BIT(GOOD) | BIT(NO_ROOM) | BIT(STUCK) | BIT(BROKEN))

static const struct state states[SPOOL_STATES] = {
        [SPOOL_GOOD] = {"GOOD", ENDS | BIT(UNOPENED)},
        [SPOOL_NO_ROOM] = {"NO_ROOM", ENDS | BIT(NO_ROOM_DUE)},
        [SPOOL_NO_ROOM_DUE] = {"NO_ROOM_DUE", ENDS},
        [SPOOL_STUCK] = {"STUCK", ENDS | BIT(STUCK_DUE)},
        [SPOOL_STUCK_DUE] = {"STUCK_DUE", ENDS},
        [SPOOL_BROKEN] = {"BROKEN", ENDS | BIT(BROKEN_DUE)},
        [SPOOL_BROKEN_DUE] = {"BROKEN_DUE", ENDS},
        [SPOOL_UNOPENED] = {"UNOPENED", ENDS | BIT(UNOPENED_DUE)},
        [SPOOL_UNOPENED_DUE] = {"UNOPENED_DUE", ENDS | BIT(UNOPENED)},
};

static const struct state_machine machine = {"spool", states, SPOOL_STATES};

static void enter(struct spool *s, enum spool_state next)
{
        if (next == s->state)
                return;
        state_machine_check(&machine, s->state, next);
        s->state = next;
}

static bool may(const struct spool *s, unsigned what)
{
        return (traits[s->state].may & what) != 0;
}

void spool_retry(struct spool *s)
{
        enter(s, traits[s->state].due);
        spool_kick(s);
}

static void on_retry(uv_timer_t *timer)
{
        spool_retry(timer->data);
}

/* The state after a job. A file is healthy again only after a successful write; a successful erase does not
 * prove that. */
static enum spool_state state_after(const struct spool *s)
{
        const struct spool_job *j = &s->job;

        if (!spool_opened(s) && !j->file.db)
                return SPOOL_UNOPENED;
        if (j->status == SPOOL_FULL)
                return j->erased == SPOOL_FULL ? SPOOL_STUCK : SPOOL_NO_ROOM;
        if (j->status != SPOOL_OK)
                return SPOOL_BROKEN;
        if (s->state == SPOOL_GOOD || j->writing.len > 0 || s->pending.len == 0)
                return SPOOL_GOOD;
        return SPOOL_NO_ROOM;
}

/* --- arrays --- */

static void put_pending(struct spool_pendings *p, const struct spool_pending *item)
{
        if (p->len == p->cap)
                p->items = array_grow(p->items, &p->cap, sizeof(*p->items));
        p->items[p->len++] = *item;
}

static void put_place(struct spool_places *places, const struct spool_place *place)
{
        if (places->len == places->cap)
                places->items = array_grow(places->items, &places->cap, sizeof(*places->items));
        places->items[places->len++] = *place;
}

/* Puts what the job could not do before what was collected meanwhile. */
static void put_back(struct spool *s)
{
        struct spool_pendings pending = s->job.writing;
        struct spool_places places = s->job.erasing;

        for (size_t i = 0; i < s->pending.len; i++)
                put_pending(&pending, &s->pending.items[i]);
        for (size_t i = 0; i < s->settled.len; i++)
                put_place(&places, &s->settled.items[i]);
        s->job.writing = s->pending;
        s->job.writing.len = 0;
        s->pending = pending;
        s->job.erasing = s->settled;
        s->job.erasing.len = 0;
        s->settled = places;
}

/* --- the job's end, on the loop --- */

static void tell(const struct spool *s, enum spool_state next)
{
        const struct spool_job *j = &s->job;

        if (j->aside[0])
                log_error("spool: %s was damaged and is set aside as %s, with %" PRIu64
                          " acked lines (see boris-ingestd spool export)",
                          j->file.path, j->aside, s->lines);
        if (j->damaged > 0)
                log_error("spool: %" PRIu64
                          " lines in %s are damaged and stay there (see boris-ingestd spool verify)",
                          j->damaged, j->file.path);
        if (j->damaged > 0 && j->stuck_error[0])
                log_error(
                        "spool: damaged lines cannot be moved aside: %s (the daemon tries again later, and replays intact lines)",
                        j->stuck_error);
        if (next != SPOOL_GOOD && s->state == SPOOL_GOOD)
                log_error("spool: %s cannot be used: %s%s; clients are paused meanwhile", j->file.path,
                          j->file.error, j->status == SPOOL_FULL ? " (spool.max_bytes, or the disk)" : "");
        if (next == SPOOL_GOOD && s->state != SPOOL_GOOD)
                log_info("spool: %s can be used again", j->file.path);
}

static void change_state(struct spool *s)
{
        enum spool_state next = state_after(s);

        tell(s, next);
        if (next != SPOOL_GOOD)
                uv_timer_start(&s->retry, on_retry, SPOOL_RETRY_MS, 0);
        else
                uv_timer_stop(&s->retry);
        enter(s, next);
}

/* Adopts what opening the file found. */
static void take_contents(struct spool *s)
{
        const struct spool_file *f = &s->job.file;

        s->lines = f->contents.lines;
        s->bytes = f->contents.bytes;
        s->oldest_us = f->contents.oldest;
        s->lost += f->findings.lost;
        s->found = s->lines + f->findings.lost;
        if (f->findings.account_missed)
                log_warn(
                        "spool: %s/spool.account is missing or damaged: whether acked lines are missing from %s is "
                        "unknown",
                        s->dir, f->path);
        if (f->findings.lost > 0)
                log_error(
                        "spool: %" PRIu64
                        " acked lines are missing from %s: the disk or the file was damaged (see boris-ingestd "
                        "spool verify; let clients resend the lines)",
                        f->findings.lost, f->path);
}

/* Forgets the lines of the earlier file, except for replayed, unsettled ones. */
static void forget_file(struct spool *s)
{
        s->lost += s->lines - s->fed;
        s->lines = s->fed;
        s->bytes = s->fed_bytes;
        s->forgotten = 0;
        s->generation++;
        s->cursor = (struct spool_place){0};
        s->job.records_len = 0;
        s->job.read_all = false;
        s->job.damaged = 0;
        s->job.damaged_bytes = 0;
        s->job.stuck = (struct spool_place){0};
        s->settled.len = 0;
}

/* Takes lines off the counts of waiting lines. The counts come from the file, and may be wrong if it is damaged: they are never
 * negative, and zero once no line is left. */
static void take_off(struct spool *s, uint64_t lines, uint64_t bytes)
{
        s->lines -= lines < s->lines ? lines : s->lines;
        s->bytes -= bytes < s->bytes ? bytes : s->bytes;
        if (s->lines == 0)
                s->bytes = 0;
}

/* The file was read to its end: lines not found are missing. */
static void look_for_missing(struct spool *s)
{
        uint64_t found = s->fed + s->forgotten;

        if (!s->job.read_all || s->lines <= found)
                return;
        log_error("spool: %" PRIu64
                  " acked lines cannot be found in %s: the file is damaged (see boris-ingestd "
                  "spool verify)",
                  s->lines - found, s->job.file.path);
        s->lost += s->lines - found;
        s->lines = found;
        s->bytes = s->fed_bytes;
}

static void finish_writing(struct spool *s)
{
        struct spool_pendings done = s->job.writing;

        s->job.writing = (struct spool_pendings){0};
        for (size_t i = 0; i < done.len; i++) {
                size_t bytes = done.items[i].line.text.len;

                s->lines++;
                s->bytes += bytes;
                s->pending_bytes -= bytes;
                s->ops->on_spooled(s->ctx, &done.items[i].line);
        }
        free(done.items);
}

/* Each line has an allocation of its own: a single one may wait for long. */
static struct spool_line *new_line(const struct spool *s, const struct spool_record *r)
{
        size_t peer_size = strlen(r->peer) + 1;
        size_t client_size = strlen(r->client) + 1;
        size_t size = sizeof(struct spool_line) + peer_size + client_size;
        struct spool_line *line = memory_array(s->memory, 1, size);

        *line = (struct spool_line){
                .generation = s->generation, .place = r->place, .bytes = r->text.len, .size = size};
        memcpy(line->names, r->peer, peer_size);
        memcpy(line->names + peer_size, r->client, client_size);
        line->from = (struct line_from){line->names, r->connection, r->line, line->names + peer_size};
        return line;
}

/* More lines may be read than were counted: those that were written by a transaction which seemed to fail. */
static void count_fed(struct spool *s)
{
        uint64_t found;

        s->fed += s->job.records_len;
        s->fed_bytes += s->job.texts.len;
        found = s->fed + s->forgotten;
        if (s->lines >= found)
                return;
        s->found += found - s->lines;
        s->lines = found;
        s->bytes = s->bytes > s->fed_bytes ? s->bytes : s->fed_bytes;
}

/* Delivers the lines that were read. */
static void feed(struct spool *s)
{
        struct block *block;
        char *text;

        if (s->job.records_len == 0)
                return;
        count_fed(s);
        block = block_new(s->memory, s->job.texts.len);
        memcpy(block->data, s->job.texts.data, s->job.texts.len);
        block->len = s->job.texts.len;
        text = block->data;
        for (size_t i = 0; i < s->job.records_len; i++) {
                const struct spool_record *r = &s->job.records[i];
                struct line line = {.block = block_ref(block),
                                    .text = {text, r->text.len},
                                    .in_spool = new_line(s, r),
                                    .number = r->line,
                                    .receipt = {r->received_us, r->receipt}};

                text += line.text.len;
                s->ops->on_drained(s->ctx, &line);
        }
        s->job.records_len = 0;
        block_unref(block);
}

static void on_timer_closed(uv_handle_t *handle)
{
        struct spool *s = handle->data;

        free(s->pending.items);
        free(s->settled.items);
        spool_job_deinit(&s->job);
        if (s->close_cb)
                s->close_cb(s);
}

static void on_job_over(uv_work_t *work, int status)
{
        struct spool *s = work->data;
        struct spool_job *j = &s->job;

        (void)status;
        if (j->opened && !spool_opened(s))
                take_contents(s);
        change_state(s);
        s->oldest_us = j->oldest_us;
        s->cursor = j->cursor;
        if (j->aside[0] || j->started_over)
                forget_file(s);
        if (s->rewind) {
                j->records_len = 0;
                j->read_all = false;
                s->cursor = (struct spool_place){0};
                s->forgotten = 0;
                s->rewind = false;
        }
        s->lost += j->damaged;
        take_off(s, j->damaged, j->damaged_bytes);
        if (j->written == SPOOL_OK)
                finish_writing(s);
        else
                put_back(s);
        if (s->closing) {
                uv_close((uv_handle_t *)&s->retry, on_timer_closed);
                return;
        }
        feed(s);
        look_for_missing(s);
        s->working = false; /* only now: lines may be settled while they are delivered */
        s->ops->on_job_over(s->ctx);
        spool_kick(s);
}

static void on_work(uv_work_t *work)
{
        spool_job_run(&((struct spool *)work->data)->job);
}

/* --- starting a job --- */

static void swap_pending(struct spool *s)
{
        struct spool_pendings swap = s->job.writing;

        s->job.writing = s->pending;
        s->pending = swap;
        s->pending.len = 0;
}

static void swap_settled(struct spool *s)
{
        struct spool_places swap = s->job.erasing;

        s->job.erasing = s->settled;
        s->settled = swap;
        s->settled.len = 0;
}

/* True if settled lines should be erased now: along with a @write, or because many or the last are settled. If lines can be
 * @read, the writers wait for them, so reading comes before most of the erasing. */
static bool is_erasing_due(const struct spool *s, bool write, bool read)
{
        bool from_start =
                spool_place_first(&s->cursor); /* reading from the start must not see settled lines again */

        if (write || s->flush || from_start)
                return true;
        return read ? s->settled.len >= ERASE_LATEST : s->fed == 0 || s->settled.len >= ERASE_AT;
}

static void start_job(struct spool *s, bool write, bool erase)
{
        s->job.writing.len = 0;
        s->job.erasing.len = 0;
        if (write)
                swap_pending(s);
        if (erase)
                swap_settled(s);
        s->job.last = erase && s->lines == 0;
        s->job.cursor = s->cursor;
        s->flush = false;
        s->working = true;
        s->job.work.data = s;
        uv_queue_work(s->loop, &s->job.work, on_work, on_job_over);
}

void spool_kick(struct spool *s)
{
        bool write = may(s, MAY_WRITE) && s->pending.len > 0;
        bool erase;
        bool read;

        if (s->working)
                return;
        read = may(s, MAY_READ) && s->lines > s->fed + s->forgotten && !s->closing &&
               s->ops->may_drain(s->ctx);
        erase = may(s, MAY_ERASE) && s->settled.len > 0 && is_erasing_due(s, write, read) &&
                s->ops->may_erase(s->ctx);
        read &= erase || !spool_place_first(&s->cursor) || s->settled.len == 0;
        s->job.reading = read;
        s->job.testing = may(s, MAY_TEST) && !s->closing && !(write || erase || read);
        if (write || erase || read || s->job.testing)
                start_job(s, write, erase);
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
        struct spool_job *j = &s->job;
        enum spool_status status;

        *s = (struct spool){.loop = loop, .dir = dir, .memory = memory, .ops = ops, .ctx = ctx};
        s->job.file.lock = s->job.file.account.fd = -1;
        uv_timer_init(loop, &s->retry);
        s->retry.data = s;
        if (!spool_on(s))
                return 0;
        j->records = must_calloc(SPOOL_CHUNK_LINES, sizeof(*j->records));
        status = spool_file_open(&j->file, dir, max_bytes, j->aside);
        snprintf(ret_error, SPOOL_ERROR_BYTES, "%s", j->file.error);
        if (j->aside[0])
                log_error("spool: %s was damaged and is set aside as %s: see boris-ingestd spool export",
                          j->file.path, j->aside);
        if (status == SPOOL_FULL) {
                log_error("spool: %s cannot be opened: %s (the disk is full; retrying, clients are paused)",
                          j->file.path, j->file.error);
                enter(s, SPOOL_UNOPENED);
                uv_timer_start(&s->retry, on_retry, SPOOL_RETRY_MS, 0);
                return 0;
        }
        if (status == SPOOL_OK)
                take_contents(s);
        return status == SPOOL_OK ? 0 : ERR_CONFIG;
}

void spool_close(struct spool *s, void (*cb)(struct spool *))
{
        s->closing = true;
        s->close_cb = cb;
        s->flush = true;
        if (!s->working && spool_on(s) && s->job.file.db)
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

static void free_line(struct spool *s, struct spool_line *line)
{
        s->fed--;
        s->fed_bytes -= line->bytes;
        memory_sub(s->memory, line->size);
        free(line);
}

void spool_settle(struct spool *s, struct spool_line *line)
{
        if (line->generation == s->generation)
                put_place(&s->settled, &line->place);
        take_off(s, 1, line->bytes);
        free_line(s, line);
        spool_kick(s);
}

void spool_forget(struct spool *s, struct spool_line *line)
{
        if (line->generation != s->generation) { /* its file will not be read again */
                take_off(s, 1, line->bytes);
                s->lost++;
        } else {
                s->forgotten++;
        }
        free_line(s, line);
}

void spool_rewind(struct spool *s)
{
        assert(s->fed == 0);
        if (s->working) {
                s->rewind = true;
                return;
        }
        s->cursor = (struct spool_place){0};
        s->forgotten = 0;
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
