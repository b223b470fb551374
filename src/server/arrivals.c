#include "server/arrivals.h"

#include <string.h>

static void thin_out(struct arrivals *a)
{
        for (unsigned i = 0; i < ARRIVALS_MAX / 2; i++)
                a->items[i] = (struct arrival){a->items[2 * i + 1].last, a->items[2 * i].us};
        a->len = ARRIVALS_MAX / 2;
}

void arrivals_note(struct arrivals *a, uint64_t acked, uint64_t last, uint64_t us)
{
        struct arrival *newest = a->len > 0 ? &a->items[a->len - 1] : NULL;

        if (last == (newest ? newest->last : acked))
                return;
        if (newest && newest->us == us) {
                newest->last = last;
                return;
        }
        if (a->len == ARRIVALS_MAX)
                thin_out(a);
        a->items[a->len++] = (struct arrival){last, us};
}

uint64_t arrivals_ack(struct arrivals *a, uint64_t acked, uint64_t upto, uint64_t now_us,
                      struct histogram *latency)
{
        uint64_t longest = 0;
        unsigned gone = 0;

        while (acked < upto) {
                const struct arrival *first = &a->items[gone];
                uint64_t end = first->last < upto ? first->last : upto;

                histogram_add(latency, now_us - first->us, end - acked);
                if (longest < now_us - first->us)
                        longest = now_us - first->us;
                gone += end == first->last;
                acked = end;
        }
        a->len -= gone;
        memmove(a->items, a->items + gone, a->len * sizeof(a->items[0]));
        return longest;
}

uint64_t arrivals_oldest(const struct arrivals *a)
{
        return a->len > 0 ? a->items[0].us : 0;
}
