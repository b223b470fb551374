/* Rows of batches in which a bad row is searched for, and waiting ("resting") rows, which cannot be written now while others
 * can.
 *
 * Such a row is kept for as long as its client waits for the ack. Once the client has closed the connection, its rows are tried
 * after those of other clients. Its resting rows may take a share of the memory; the daemon drops further ones, which it may do
 * since it has not acked them. (Hierarchy rows of such a client are not tried again at all: see hierarchy.c.) A stop waits for such rows for a part of shutdown.timeout_ms only. */
#include "daemon/pipeline_parts.h"

#include <inttypes.h>

#include "base/log.h"

enum {
        GONE_SHARE = 8, /* part of the memory limit for resting rows of clients that are gone */
        /* What a resting row costs beside its line: its batch, and the session of its client. */
        ROW_BYTES = sizeof(struct batch) + sizeof(struct row) + sizeof(struct session),
        /* Part of shutdown.timeout_ms after which a stop gives up the doubtful rows of clients that are gone, and of all. */
        STOP_GONE_PART = 5,
        STOP_ALL_PART = 2,
};

/* --- marks --- */

void pipeline_mark_doubtful(struct line *line)
{
        if (line->doubtful)
                return;
        line->doubtful = true;
        line->source->doubtful++;
}

void pipeline_mark_resting(struct pipeline *p, struct line *line)
{
        if (line->resting)
                return;
        line->resting = true;
        line->source->tally->resting++;
        p->resting_bytes += ROW_BYTES + line->text.len;
}

void pipeline_unmark(struct pipeline *p, struct line *line)
{
        line->source->doubtful -= line->doubtful;
        if (line->resting) {
                line->source->tally->resting--;
                p->resting_bytes -= ROW_BYTES + line->text.len;
        }
        line->doubtful = false;
        line->resting = false;
}

static void mark_doubtful(struct batch *batch)
{
        for (size_t i = 0; i < batch->len; i++)
                pipeline_mark_doubtful(&batch->rows[i].line);
}

static void mark_resting(struct pipeline *p, struct batch *batch)
{
        for (size_t i = 0; i < batch->len; i++) {
                /* a row that waits long must not keep a block with other lines */
                if (!batch->rows[i].line.resting)
                        row_detach(&batch->rows[i]);
                pipeline_mark_resting(p, &batch->rows[i].line);
        }
        batch_trim(batch);
}

/* --- giving up --- */

bool pipeline_gives_up(const struct pipeline *p, const struct line_source *source)
{
        return p->search == PIPELINE_SEARCH_NONE || (p->search == PIPELINE_SEARCH_CONNECTED && source->gone);
}

void pipeline_give_up_take(struct pipeline *p, struct line *line)
{
        pipeline_unmark(p, line);
        if (overflow_on(&p->overflow) && !line->source->gone) {
                overflow_keep_take(&p->overflow, line);
                return;
        }
        line->source->lacks_line |= line->source->gone;
        line_give_up(line);
}

/* Of rows that rest or wait to be searched. */
static size_t aside_bytes(const struct pipeline *p)
{
        return p->resting_bytes + (p->batcher.doubtful_rows - p->batcher.resting_rows) * ROW_BYTES;
}

bool pipeline_may_rest(struct pipeline *p, const struct line *line)
{
        uint64_t dropped;

        if (!line->source->gone || aside_bytes(p) < p->memory.limit / GONE_SHARE)
                return true;
        dropped = log_limit_pass(&p->drops, uv_now(p->loop));
        if (dropped > 0)
                log_warn(
                        "unacked row dropped: it cannot be written, its client has closed the connection, and such rows "
                        "fill their share of limits.memory_bytes (%" PRIu64 " since the last such line)",
                        dropped);
        return false;
}

/* Gives up the rows of the batch that are not tried any longer. */
static void drop_rows(struct pipeline *p, struct batch *batch)
{
        bool abandoning = batch->due > 0 && p->ending && !p->evacuating;
        bool limited = batch->due > 0 || batch->distrusted;

        for (size_t i = batch->len; i-- > 0;) {
                struct line line = batch->rows[i].line;

                if (!abandoning && !pipeline_gives_up(p, line.source) &&
                    (!limited || pipeline_may_rest(p, &line)))
                        continue;
                batch_remove(batch, i);
                pipeline_give_up_take(p, &line);
        }
}

static bool comes_last(const void *ctx, const struct row *row)
{
        const struct line_source *source = row->line.source;

        return source->gone || pipeline_sender(ctx, source) == SENDER_DISTRUSTED;
}

/* Parts off the rows that are tried after others. */
static void part_last(struct pipeline *p, struct batch *batch)
{
        struct batch *last = batch_part(batch, comes_last, p);

        if (!last)
                return;
        last->distrusted = true;
        drop_rows(p, last);
        if (last->len > 0)
                batcher_return(&p->batcher, last);
        else
                batch_free(last);
}

void pipeline_return_take(struct pipeline *p, struct batch *batch)
{
        if (batch->due > 0 && batch->len == 1 && !batch->locked)
                pipeline_note_fault(p, batch->rows[0].line.source);
        if (batch->doubtful) {
                drop_rows(p, batch);
                mark_doubtful(batch);
        }
        if (batch->due > 0 && batch->len > 0)
                mark_resting(p, batch);
        if (batch->doubtful && !batch->distrusted && batch->due == 0)
                part_last(p, batch);
        if (batch->len > 0)
                batcher_return(&p->batcher, batch);
        else
                batch_free(batch);
}

/* --- stopping --- */

static void give_up_batches(struct pipeline *p)
{
        struct list batches;

        list_init(&batches);
        batcher_pop_doubtful(&p->batcher, &batches);
        while (!list_empty(&batches)) {
                struct batch *batch = container_of(batches.next, struct batch, queue);

                list_remove(&batch->queue);
                pipeline_return_take(p, batch);
        }
}

static void on_give_up_timer(uv_timer_t *timer)
{
        struct pipeline *p = timer->data;
        unsigned timeout_ms = p->config->shutdown.timeout_ms;

        if (p->search == PIPELINE_SEARCH_ALL) {
                p->search = PIPELINE_SEARCH_CONNECTED;
                uv_timer_start(timer, on_give_up_timer,
                               timeout_ms / STOP_ALL_PART - timeout_ms / STOP_GONE_PART, 0);
        } else {
                p->search = PIPELINE_SEARCH_NONE;
        }
        give_up_batches(p);
        hierarchy_give_up(&p->hierarchy);
}

void pipeline_open_doubt(struct pipeline *p)
{
        uv_timer_init(p->loop, &p->give_up);
        p->give_up.data = p;
}

void pipeline_stop_searching(struct pipeline *p)
{
        uv_timer_start(&p->give_up, on_give_up_timer, p->config->shutdown.timeout_ms / STOP_GONE_PART, 0);
}
