#include "wire/receipt.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <sys/random.h>

void receipts_init(struct receipts *r, struct receipt_clock *clock)
{
        *r = (struct receipts){.clock = clock};
        if (getrandom(&r->number, sizeof(r->number), 0) != sizeof(r->number))
                abort(); /* getrandom(2) never returns fewer than 8 bytes */
}

/* Reserves a block of moments from the shared clock. Blocks double within a loop turn: a busy worker seldom
 * touches shared memory, and a worker with one line per turn wastes no moments. */
static void take_block(struct receipts *r)
{
        struct receipt_clock *c = r->clock;
        int64_t now = c->now_us();
        int64_t taken = atomic_load_explicit(&c->taken_us, memory_order_relaxed);
        int64_t start;

        do {
                start = taken + 1;
                if (start < now || start > now + RECEIPT_AHEAD_MAX_US)
                        start = now;
        } while (!atomic_compare_exchange_weak_explicit(&c->taken_us, &taken, start + r->block_len - 1,
                                                        memory_order_relaxed, memory_order_relaxed));
        r->next_us = start;
        r->end_us = start + r->block_len;
        if (r->block_len < RECEIPT_BLOCK_MAX)
                r->block_len *= 2;
}

struct receipt receipts_next(struct receipts *r, uint64_t turn)
{
        if (r->turn != turn || r->block_len == 0) {
                r->turn = turn;
                r->block_len = 1;
                take_block(r);
        } else if (r->next_us == r->end_us) {
                take_block(r);
        }
        return (struct receipt){r->next_us++, ++r->number};
}
