#include "spending/parking.h"

#include <stdlib.h>

#include "base/memory.h"
#include "wire/refusal.h"

/* What a parked row counts in the room: with a grace, everything that it may hold during the grace. */
static size_t parked_size(const struct resolver *r, const struct row *row)
{
        size_t len = row->line.text.len;

        return r->grace_ms > 0 ? sizeof(struct parked_row) + sizeof(struct miss) + len : len;
}

/* What the row holds while it waits for its object, if no other row waits for the same one. */
static size_t unknown_size(const struct parked_row *parked)
{
        return sizeof(*parked) + sizeof(struct miss) + parked->row.line.block->cap;
}

static void count_parked(struct resolver *r, const struct row *row)
{
        r->parked++;
        r->parked_bytes += parked_size(r, row);
}

static void discount_parked(struct resolver *r, const struct row *row)
{
        r->parked--;
        r->parked_bytes -= parked_size(r, row);
}

/* --- waiting long --- */

static void wait_until(struct resolver *r, struct parked_row *parked, uint64_t deadline)
{
        discount_parked(r, &parked->row);
        row_detach(&parked->row);
        parked->deadline = deadline;
        r->unknown_bytes += unknown_size(parked);
        r->ops->on_unknown(r->ctx, &parked->row.line, true);
}

static uint64_t grace_end(const struct resolver *r)
{
        return uv_now(r->retry.loop) + r->grace_ms;
}

/* Called when the row's object is first found to be unknown. Returns false if there is no grace, or no room
 * to wait. */
static bool begin_grace(struct resolver *r, struct parked_row *parked)
{
        if (r->grace_ms == 0 || r->unknown_bytes >= r->memory->limit / 2)
                return false;
        wait_until(r, parked, grace_end(r));
        return true;
}

void parking_add_take(struct resolver *r, struct miss *miss, const struct row *row)
{
        struct parked_row *parked = must_malloc(sizeof(*parked));

        parked->row = *row;
        parked->deadline = 0;
        miss_append(miss, parked);
        count_parked(r, row);
        memory_add(r->memory, sizeof(*parked));
        if (miss->deadline == MISS_FOREVER) {
                wait_until(r, parked, MISS_FOREVER);
        } else if (miss->deadline && !begin_grace(r, parked)) {
                list_remove(&miss->order);
                list_append(&r->waiting, &miss->order); /* the row's outcome will be known soon */
        }
}

/* --- leaving --- */

struct row parking_take(struct resolver *r, struct parked_row **rows)
{
        struct parked_row *parked = *rows;
        struct row row = parked->row;

        *rows = parked->next;
        if (parked->deadline == 0) {
                discount_parked(r, &row);
        } else {
                r->unknown_bytes -= unknown_size(parked);
                r->ops->on_unknown(r->ctx, &row.line, false);
        }
        memory_sub(r->memory, sizeof(*parked));
        free(parked);
        return row;
}

static void describe(const struct miss *m, int64_t accounts, struct reject *ret)
{
        if (accounts == 1)
                refuse_object(ret, "externalId", m->object, m->account);
        else if (accounts == 0 && rules_is_scoped(m->client, m->has_connection))
                rules_refuse_account(m->client, m->account, ret);
        else
                refuse_account(ret, accounts, m->platform, m->account,
                               m->has_connection ? &m->connection_id : NULL);
}

/* @accounts: number of matching accounts: not one, or one that lacks the object. */
static void refuse(struct resolver *r, const struct miss *m, struct parked_row *rows, int64_t accounts)
{
        struct reject reject;

        if (rows)
                describe(m, accounts, &reject);
        while (rows) {
                struct row row = parking_take(r, &rows);

                r->ops->settle(r->ctx, &row.line, LINE_REJECTED, &reject);
        }
}

static struct parked_row *take_all(struct miss *miss)
{
        struct parked_row *rows = miss->rows;

        miss->rows = NULL;
        miss->rows_end = &miss->rows;
        return rows;
}

/* Returns the rows whose grace is over, in order; the others stay with the miss. */
static struct parked_row *take_overdue(struct resolver *r, struct miss *miss)
{
        struct parked_row *rows = take_all(miss);
        struct parked_row *overdue = NULL;
        struct parked_row **overdue_end = &overdue;
        uint64_t now = uv_now(r->retry.loop);

        while (rows) {
                struct parked_row *parked = rows;

                rows = parked->next;
                if (parked->deadline == 0)
                        begin_grace(r, parked);
                else if (parked->deadline == MISS_FOREVER)
                        parked->deadline = grace_end(r);
                if (parked->deadline > now) {
                        miss_append(miss, parked);
                        continue;
                }
                parked->next = NULL;
                *overdue_end = parked;
                overdue_end = &parked->next;
        }
        return overdue;
}

void parking_unknown(struct resolver *r, struct miss *miss, int64_t accounts)
{
        bool may_pass = accounts <= 1; /* waiting does not help against several accounts */

        refuse(r, miss, may_pass ? take_overdue(r, miss) : take_all(miss), accounts);
}

void parking_unanswered(struct resolver *r, struct miss *miss)
{
        for (struct parked_row *parked = miss->rows; parked; parked = parked->next) {
                if (parked->deadline == 0)
                        wait_until(r, parked, MISS_FOREVER);
                parked->deadline = MISS_FOREVER;
        }
        miss->deadline = MISS_FOREVER;
}

void parking_abandon(struct resolver *r, struct miss *miss, line_take_cb *cb, void *ctx)
{
        while (miss->rows) {
                struct row row = parking_take(r, &miss->rows);

                cb(ctx, &row.line);
        }
        miss->rows_end = &miss->rows;
}
