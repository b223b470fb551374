/* Which clients' rows are written apart from those of others, because the database is likely to refuse some.
 *
 * A client whose row was at fault is distrusted for a minute. A new client may reconnect as a different one. So for that minute
 * the rows of new clients, those with fewer than proof_rows stored rows, share a batch of their own. proof_rows is 1 at first;
 * after a bad row of a client with that many, it is twice that client's count, at most PROOF_MAX. */
#include "daemon/pipeline_parts.h"

enum {
        /* For this long after a row was at fault, rows are written apart. */
        DISTRUST_MS = 60 * 1000,
        /* A client is new until the database has stored this many of its rows. */
        PROOF_MAX = 256,
        NEW_LINES = 16, /* maximum of a new client's lines that are on their way */
        /* Rows of new clients that have closed their connection are added only to a batch with fewer rows. */
        GONE_ROWS = BATCHER_NEW_ROWS / 4,
};

static bool was_lately(const struct pipeline *p, uint64_t ms)
{
        return ms > 0 && uv_now(p->loop) - ms < DISTRUST_MS;
}

static void note_fault_of_new(struct pipeline *p, uint64_t clean)
{
        if (!was_lately(p, p->new_fault_ms))
                p->proof_rows = 1;
        else if (clean >= p->proof_rows)
                p->proof_rows = 2 * clean < PROOF_MAX ? 2 * clean : PROOF_MAX;
        p->new_fault_ms = uv_now(p->loop);
}

void pipeline_note_fault(struct pipeline *p, struct line_source *source)
{
        bool known = was_lately(p, source->fault_ms);

        source->fault_ms = uv_now(p->loop);
        if (!known && source->clean < PROOF_MAX && !source->ops->acked)
                note_fault_of_new(p, source->clean);
}

/* All lines of the spool have one source: their clients are not told apart. */
enum batcher_sender pipeline_sender(const struct pipeline *p, const struct line_source *source)
{
        if (source->ops->acked)
                return SENDER_ORDINARY;
        if (was_lately(p, source->fault_ms))
                return SENDER_DISTRUSTED;
        if (source->clean < p->proof_rows && was_lately(p, p->new_fault_ms))
                return SENDER_NEW;
        return source->in_flight <= PIPELINE_LITTLE_LINES ? SENDER_LITTLE : SENDER_ORDINARY;
}

bool pipeline_has_room_for_new(const struct pipeline *p, const struct session *s)
{
        size_t rows;

        if (pipeline_sender(p, &s->line_source) != SENDER_NEW || pipeline_gives_up(p, &s->line_source))
                return true;
        rows = batcher_new_rows(&p->batcher) + hierarchy_new_rows(&p->hierarchy);
        if (s->line_source.gone)
                return rows < GONE_ROWS && pipeline_has_room_for_doubtful(p);
        return s->line_source.doubtful < NEW_LINES && rows < BATCHER_NEW_ROWS;
}
